//! Start codes and headers (clauses 6.2.3 to 6.2.5).

use bitstream::{BitReader, Error, Malformed, Result};

const GROUP_OF_VOP: u8 = 0xb3;
const VOP: u8 = 0xb6;
const SPRITE_GMC: u32 = 2;
const MAX_SIDE: u32 = 8192;

/// What a start code begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// video_object_layer()
    Layer,
    /// group_of_vop()
    Group,
    /// video_object_plane()
    Plane,
    /// Any other.
    Other,
}

/// Units of a packet, each behind its start code.
pub(crate) fn units(data: &[u8]) -> Vec<(Unit, &[u8])> {
    let starts: Vec<usize> = start_codes(data);
    let ends = starts.iter().skip(1).copied().chain([data.len()]);
    let unit = |(&start, end): (&usize, usize)| {
        let kind = match data[start + 3] {
            0x20..=0x2f => Unit::Layer,
            GROUP_OF_VOP => Unit::Group,
            VOP => Unit::Plane,
            _ => Unit::Other,
        };
        (kind, &data[start + 4..end])
    };
    starts.iter().zip(ends).map(unit).collect()
}

fn start_codes(data: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut position = 0;
    while position + 4 <= data.len() {
        if data[position..position + 3] == [0, 0, 1] {
            starts.push(position);
            position += 4;
        } else {
            position += 1;
        }
    }
    starts
}

/// Why the motion of a layer's pictures is not read.
pub(crate) fn unsupported(feature: &'static str) -> Error {
    Error::Unsupported {
        codec: "MPEG-4 Part 2",
        feature,
    }
}

/// video_object_layer(): what all pictures share (6.2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// vop_time_increment_resolution
    pub(crate) resolution: u32,
    /// low_delay, where vol_control_parameters tell it.
    pub(crate) low_delay: Option<bool>,
    pub(crate) quarter_sample: bool,
    pub(crate) quant_bits: u32,
    pub(crate) resync_markers: bool,
    pub(crate) data_partitioned: bool,
    pub(crate) interlaced: bool,
    /// Sprites, static or of global motion compensation.
    pub(crate) sprites: bool,
}

impl Layer {
    /// Reads the header behind its start code.
    pub(crate) fn read(data: &[u8]) -> Result<Self> {
        let mut r = BitReader::new(data);
        r.skip(1 + 8); // random_accessible_vol, video_object_type_indication
        let mut version = 1;
        if r.get(1) == 1 {
            version = r.get(4);
            r.skip(3);
        }
        if r.get(4) == 15 {
            r.skip(16); // par_width, par_height
        }
        let mut low_delay = None;
        if r.get(1) == 1 {
            r.skip(2); // chroma_format
            low_delay = Some(r.get(1) == 1);
            if r.get(1) == 1 {
                r.skip(79); // vbv_parameters
            }
        }
        if r.get(2) != 0 {
            return Err(unsupported("video objects with a shape"));
        }
        r.skip(1);
        let resolution = r.get(16);
        r.skip(1);
        if resolution == 0 {
            return Err(Malformed("vop_time_increment_resolution").into());
        }
        if r.get(1) == 1 {
            r.skip(increment_bits(resolution)); // fixed_vop_time_increment
        }
        r.skip(1);
        let width = r.get(13);
        r.skip(1);
        let height = r.get(13);
        r.skip(1);
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(Malformed("video_object_layer_width").into());
        }
        let interlaced = r.get(1) == 1;
        r.skip(1); // obmc_disable: vectors are coded alike
        let sprite = r.get(if version == 1 { 1 } else { 2 });
        if sprite != 0 {
            if sprite != SPRITE_GMC {
                r.skip(4 * 14);
            }
            r.skip(6 + 2 + 1);
            if sprite != SPRITE_GMC {
                r.skip(1);
            }
        }
        let mut quant_bits = 5;
        if r.get(1) == 1 {
            quant_bits = r.get(4);
            r.skip(4);
            if !(3..=9).contains(&quant_bits) {
                return Err(Malformed("quant_precision").into());
            }
        }
        if r.get(1) == 1 {
            skip_matrix(&mut r);
            skip_matrix(&mut r);
        }
        let quarter_sample = version != 1 && r.get(1) == 1;
        if r.get(1) == 0 {
            return Err(unsupported("complexity estimation headers"));
        }
        let resync_markers = r.get(1) == 0;
        let data_partitioned = r.get(1) == 1;
        if data_partitioned {
            r.skip(1); // reversible_vlc
        }
        if version != 1 && (r.get(1) == 1 || r.get(1) == 1) {
            return Err(unsupported("new prediction or reduced resolution"));
        }
        if r.get(1) == 1 {
            return Err(unsupported("scalability"));
        }
        if r.position() > 8 * data.len() {
            return Err(Malformed("video_object_layer").into());
        }
        Ok(Layer {
            width,
            height,
            resolution,
            low_delay,
            quarter_sample,
            quant_bits,
            resync_markers,
            data_partitioned,
            interlaced,
            sprites: sprite != 0,
        })
    }

    /// Size in macroblocks, (columns, rows).
    pub(crate) fn macroblocks(&self) -> (usize, usize) {
        (
            self.width.div_ceil(16) as usize,
            self.height.div_ceil(16) as usize,
        )
    }

    /// Length of vop_time_increment in bits.
    pub(crate) fn increment_bits(&self) -> u32 {
        increment_bits(self.resolution)
    }

    /// Why motion of its P and B pictures is not read, if so.
    pub(crate) fn refusal(&self) -> Option<Error> {
        if self.interlaced {
            return Some(unsupported("interlaced coding"));
        }
        if self.data_partitioned {
            return Some(unsupported("data partitioning"));
        }
        self.sprites
            .then(|| unsupported("sprites and global motion compensation"))
    }
}

/// Bits of a number below `resolution`, one at least.
fn increment_bits(resolution: u32) -> u32 {
    (32 - (resolution - 1).leading_zeros()).max(1)
}

fn skip_matrix(r: &mut BitReader<'_>) {
    if r.get(1) == 1 {
        let mut count = 0;
        while count < 64 && r.get(8) != 0 {
            count += 1;
        }
    }
}

/// Seconds of the time code of group_of_vop() (6.2.4).
pub(crate) fn group_seconds(data: &[u8]) -> i64 {
    let mut r = BitReader::new(data);
    let (hours, minutes) = (r.get(5), r.get(6));
    r.skip(1);
    i64::from(r.get(6) + 60 * (minutes + 60 * hours))
}

/// vop_coding_type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Intra coded.
    I,
    /// Predicted from the I or P picture before.
    P,
    /// Predicted from the I or P pictures before and after.
    B,
    /// With a sprite.
    S,
}

impl Kind {
    /// The type of a number of two bits.
    pub(crate) fn of(vop_coding_type: u32) -> Self {
        [Kind::I, Kind::P, Kind::B, Kind::S][(vop_coding_type & 3) as usize]
    }
}

/// Header of video_object_plane() (6.2.5).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plane {
    pub(crate) kind: Kind,
    /// modulo_time_base: seconds.
    pub(crate) seconds: i64,
    /// vop_time_increment
    pub(crate) increment: i64,
    /// vop_coded
    pub(crate) coded: bool,
    /// The most quantisers for which intra DC coefficients have codes of their own: table 6-27.
    pub(crate) dc_threshold: i32,
    pub(crate) quantiser: i32,
    /// vop_fcode_forward, vop_fcode_backward; 1 where there is none.
    pub(crate) fcode: [u32; 2],
    /// Bits before the macroblocks.
    pub(crate) size: usize,
}

/// Quantisers from which on the DC coefficient is coded with the others, by intra_dc_vlc_thr.
const DC_THRESHOLDS: [i32; 8] = [99, 13, 15, 17, 19, 21, 23, 0];

impl Plane {
    /// Reads the header behind its start code.
    pub(crate) fn read(data: &[u8], layer: &Layer) -> Result<Self> {
        let mut r = BitReader::new(data);
        let kind = Kind::of(r.get(2));
        let mut seconds = 0;
        while r.get(1) == 1 {
            seconds += 1;
            if r.position() > 8 * data.len() {
                return Err(Malformed("modulo_time_base").into());
            }
        }
        r.skip(1);
        let increment = i64::from(r.get(layer.increment_bits()));
        r.skip(1);
        let coded = r.get(1) == 1;
        let mut plane = Plane {
            kind,
            seconds,
            increment,
            coded,
            dc_threshold: 0,
            quantiser: 0,
            fcode: [1, 1],
            size: 0,
        };
        if !coded || kind == Kind::S {
            return Ok(plane);
        }
        if kind == Kind::P {
            r.skip(1); // vop_rounding_type
        }
        plane.dc_threshold = DC_THRESHOLDS[r.get(3) as usize];
        if layer.interlaced {
            r.skip(2); // top_field_first, alternate_vertical_scan_flag
        }
        plane.quantiser = r.get(layer.quant_bits) as i32;
        if kind != Kind::I {
            plane.fcode[0] = r.get(3);
        }
        if kind == Kind::B {
            plane.fcode[1] = r.get(3);
        }
        plane.size = r.position();
        if plane.quantiser == 0 || plane.fcode.contains(&0) || plane.size > 8 * data.len() {
            return Err(Malformed("video_object_plane").into());
        }
        Ok(plane)
    }

    /// Zeros of the resync marker (6.2.5.2).
    pub(crate) fn marker_zeros(&self) -> u32 {
        match self.kind {
            Kind::I => 16,
            Kind::P | Kind::S => 15 + self.fcode[0],
            Kind::B => 15 + self.fcode[0].max(self.fcode[1]).max(2),
        }
    }
}
