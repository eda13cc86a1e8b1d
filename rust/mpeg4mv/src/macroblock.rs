//! What P and B pictures share: packets of macroblocks, quantisers, vectors (clauses 6.2.5 to 6.2.7, 7.6).

use bitstream::{BitReader, Malformed};

use crate::block::{skip_coefficients, skip_dc};
use crate::field::Vector;
use crate::headers::{Kind, Layer, Plane};
use crate::tables::{CBPY_CODES, MVD_CODES};

/// Macroblocks of a picture, read one after the other.
pub(crate) struct Macroblocks<'a> {
    pub(crate) reader: BitReader<'a>,
    bits: usize,
    layer: &'a Layer,
    plane: Plane,
    pub(crate) quantiser: i32,
    /// Where the video packet begins: vectors of macroblocks before it predict none behind.
    pub(crate) packet_start: usize,
    count: usize,
}

impl<'a> Macroblocks<'a> {
    pub(crate) fn new(data: &'a [u8], layer: &'a Layer, plane: Plane) -> Self {
        let (columns, rows) = layer.macroblocks();
        Macroblocks {
            reader: BitReader::new(data).at(plane.size),
            bits: 8 * data.len(),
            layer,
            plane,
            quantiser: plane.quantiser,
            packet_start: 0,
            count: columns * rows,
        }
    }

    /// vop_fcode of a list.
    pub(crate) fn fcode(&self, list: usize) -> u32 {
        self.plane.fcode[list]
    }

    /// Fails where reading went beyond the data.
    pub(crate) fn check(&self) -> Result<(), Malformed> {
        if self.reader.position() > self.bits {
            return Err(Malformed("macroblock"));
        }
        Ok(())
    }

    /// Fails where more than stuffing and empty packets follows the last macroblock: reading lost its place.
    pub(crate) fn check_end(
        &mut self,
        data: &[u8],
        is_without_data: impl Fn(usize) -> bool,
    ) -> Result<(), Malformed> {
        self.start_packets(self.count, is_without_data)?;
        let next = self.reader.position().div_ceil(8);
        match data.get(next..) {
            Some(rest) if rest.iter().all(|byte| matches!(byte, 0 | 0x7f | 0xff)) => Ok(()),
            _ => Err(Malformed("end of the macroblocks")),
        }
    }

    /// Reads the headers of the video packets that are next, several where packets are empty: whether there are any.
    ///
    /// `is_without_data` says whether a macroblock has no data, so that a packet may begin with it although
    /// `address` is the next one that has.
    pub(crate) fn start_packets(
        &mut self,
        address: usize,
        is_without_data: impl Fn(usize) -> bool,
    ) -> Result<bool, Malformed> {
        let mut found = false;
        while self.layer.resync_markers && address > 0 && self.at_marker() {
            let first = self.packet_header()?;
            if first > address || !(first..address).all(&is_without_data) {
                return Err(Malformed("macroblock_number"));
            }
            self.packet_start = first;
            found = true;
        }
        Ok(found)
    }

    /// video_packet_header(): the first macroblock of the packet.
    fn packet_header(&mut self) -> Result<usize, Malformed> {
        let zeros = self.plane.marker_zeros();
        let stuffing = 8 - (self.reader.position() & 7) as u32;
        self.reader.skip(stuffing + zeros + 1);
        let bits = usize::BITS - (self.count - 1).leading_zeros();
        let first = if bits == 0 {
            0
        } else {
            self.reader.get(bits) as usize
        };
        self.quantiser = self.reader.get(self.layer.quant_bits) as i32;
        if self.reader.get(1) == 1 {
            self.skip_header_extension()?;
        }
        Ok(first)
    }

    /// Whether stuffing and a resync marker are next.
    pub(crate) fn at_marker(&self) -> bool {
        let position = self.reader.position();
        let stuffing = 8 - (position & 7) as u32;
        let window = self.reader.window();
        if window >> (64 - stuffing) != (1 << (stuffing - 1)) - 1 {
            return false;
        }
        let rest = window << stuffing;
        rest.leading_zeros() == self.plane.marker_zeros() && position < self.bits
    }

    fn skip_header_extension(&mut self) -> Result<(), Malformed> {
        let r = &mut self.reader;
        while r.get(1) == 1 {
            if r.position() > self.bits {
                return Err(Malformed("modulo_time_base"));
            }
        }
        r.skip(1 + self.layer.increment_bits() + 1 + 2 + 3); // time, vop_coding_type, intra_dc_vlc_thr
        r.skip(match self.plane.kind {
            Kind::I => 0,
            Kind::P | Kind::S => 3,
            Kind::B => 6,
        });
        Ok(())
    }

    /// cbpy of a macroblock, with a bit for each luminance block.
    pub(crate) fn cbpy(&mut self, intra: bool) -> Result<u32, Malformed> {
        let (value, length) = CBPY_CODES.find(self.reader.window());
        if length == 0 {
            return Err(Malformed("cbpy"));
        }
        self.reader.skip(u32::from(length));
        Ok(u32::from(if intra { value } else { value ^ 15 }))
    }

    /// dquant
    pub(crate) fn change_quantiser(&mut self) {
        let change = [-1, -2, 1, 2][self.reader.get(2) as usize];
        let most = (1 << self.layer.quant_bits) - 1;
        self.quantiser = (self.quantiser + change).clamp(1, most);
    }

    /// Whether DC coefficients have codes of their own: decided before dquant.
    pub(crate) fn codes_dc(&self) -> bool {
        self.quantiser < self.plane.dc_threshold
    }

    /// The six blocks of a macroblock; `pattern` has a bit for each, luminance first.
    pub(crate) fn skip_blocks(&mut self, pattern: u32) -> Result<(), Malformed> {
        for block in 0..6 {
            if pattern & (32 >> block) != 0 {
                skip_coefficients(&mut self.reader, false, 0)?;
            }
        }
        Ok(())
    }

    /// The six blocks of an intra macroblock.
    pub(crate) fn skip_intra_blocks(
        &mut self,
        pattern: u32,
        codes_dc: bool,
    ) -> Result<(), Malformed> {
        for block in 0..6 {
            if codes_dc {
                skip_dc(&mut self.reader, block >= 4)?;
            }
            if pattern & (32 >> block) != 0 {
                skip_coefficients(&mut self.reader, true, u32::from(codes_dc))?;
            }
        }
        Ok(())
    }

    /// A vector that is coded as a difference (7.6.3).
    pub(crate) fn vector(&mut self, predicted: Vector, fcode: u32) -> Result<Vector, Malformed> {
        Ok([
            self.component(predicted[0], fcode)?,
            self.component(predicted[1], fcode)?,
        ])
    }

    fn component(&mut self, predicted: i16, fcode: u32) -> Result<i16, Malformed> {
        let r = &mut self.reader;
        let (size, length) = MVD_CODES.find(r.window());
        if length == 0 {
            return Err(Malformed("motion_code"));
        }
        r.skip(u32::from(length));
        if size == 0 {
            return Ok(predicted);
        }
        let negative = r.get(1) == 1;
        let shift = fcode - 1;
        let mut difference = (i32::from(size) - 1) << shift;
        if shift > 0 {
            difference |= r.get(shift) as i32; // motion_residual
        }
        difference += 1;
        let sum = i32::from(predicted) + if negative { -difference } else { difference };
        // Vectors lie in [-32 f, 32 f).
        let range = 64 << shift;
        Ok(((sum + range / 2).rem_euclid(range) - range / 2) as i16)
    }
}
