//! Writer of small streams, bit by bit, for cases that no available encoder produces.
//!
//! Coding tree blocks have 16x16 luma samples and hold one coding unit each: DC intra prediction in I
//! slices, skipped units in P slices.

use testkit::bits::{self, Bits};

use super::cabac::{Context, Encoder, States};

pub const TRAIL_R: u8 = 1;
pub const RASL_R: u8 = 9;
pub const IDR: u8 = 19;
pub const CRA: u8 = 21;
pub const END_OF_SEQUENCE: u8 = 36;

/// A NAL unit of the base layer, with emulation prevention.
pub fn nal(kind: u8, rbsp: &[u8]) -> Vec<u8> {
    bits::nal(&[kind << 1, 1], rbsp)
}

/// Content of the sequence parameter set written by [`sps`].
#[derive(Clone)]
pub struct Sequence {
    pub profile_idc: u32,
    /// Coding tree blocks in a row and in a column.
    pub size: (u32, u32),
    /// Width that is written instead.
    pub declared_width: Option<u32>,
    pub separate_colour_planes: bool,
    pub pcm: bool,
    pub long_term: bool,
    /// vui_parameters().
    pub vui: Option<Bits>,
    /// sps_range_extension_flag to sps_extension_4bits, and what follows.
    pub extension: Option<Bits>,
}

impl Default for Sequence {
    fn default() -> Self {
        Sequence {
            profile_idc: 4,
            size: (1, 1),
            declared_width: None,
            separate_colour_planes: false,
            pcm: false,
            long_term: false,
            vui: None,
            extension: None,
        }
    }
}

/// Sequence parameter set 0: 8 bits, 4:0:0, slice_pic_order_cnt_lsb of 4 bits, no temporal prediction.
pub fn sps(sequence: &Sequence) -> Vec<u8> {
    let bits = Bits::default().u(8, 1).u(8, sequence.profile_idc);
    let mut bits = bits.u(32, 0).u(32, 0).u(16, 0).u(8, 93).ue(0);
    bits = match sequence.separate_colour_planes {
        true => bits.ue(3).flag(true),
        false => bits.ue(0),
    };
    let width = sequence.declared_width.unwrap_or(16 * sequence.size.0);
    bits = bits.ues(&[width, 16 * sequence.size.1]).flag(false);
    bits = bits.ues(&[0, 0, 0]).flag(true).ues(&[5, 0, 0]);
    bits = bits.ues(&[1, 0, 0, 2, 0, 0]).u(3, 0).flag(sequence.pcm);
    if sequence.pcm {
        bits = bits.u(8, 0x77).ues(&[1, 0]).flag(false);
    }
    bits = bits.ue(0).flag(sequence.long_term);
    if sequence.long_term {
        bits = bits.ue(0);
    }
    bits = bits.u(2, 0);
    for part in [&sequence.vui, &sequence.extension] {
        bits = bits.flag(part.is_some());
        if let Some(part) = part {
            bits = bits.append(part);
        }
    }
    nal(33, &bits.rbsp())
}

/// Content of the picture parameter set written by [`pps`].
#[derive(Clone, Default)]
pub struct Parameters {
    pub id: u32,
    pub dependent_segments: bool,
    pub output_flag: bool,
    pub extra_bits: u32,
    /// Number of tile columns and rows.
    pub tiles: Option<(u32, u32)>,
    pub wavefront: bool,
    pub list_modification: bool,
    pub header_extension: bool,
}

/// A picture parameter set of sequence parameter set 0.
pub fn pps(p: &Parameters) -> Vec<u8> {
    let bits = Bits::default().ues(&[p.id, 0]).flag(p.dependent_segments);
    let bits = bits.flag(p.output_flag).u(3, p.extra_bits).u(2, 0);
    let bits = bits.ues(&[0, 0]).se(0).u(3, 0).se(0).se(0).u(4, 0);
    let mut bits = bits.flag(p.tiles.is_some()).flag(p.wavefront);
    if let Some((columns, rows)) = p.tiles {
        bits = bits.ues(&[columns - 1, rows - 1]).flag(true).flag(false);
    }
    let bits = bits.u(3, 0).flag(p.list_modification).ue(0);
    nal(34, &bits.flag(p.header_extension).flag(false).rbsp())
}

/// A slice segment written by [`segment`].
#[derive(Clone)]
pub struct Segment {
    pub kind: u8,
    /// slice_segment_address and its number of bits; None for the first segment of a picture.
    pub address: Option<(u32, u32)>,
    pub dependent: bool,
    pub poc_lsb: u32,
    pub output: bool,
    pub colour_plane: Option<u32>,
    /// P slice: distances in PicOrderCnt to the pictures before, nearest first.
    pub short_term: Vec<u32>,
    /// poc_lsb_lt and delta_poc_msb_cycle_lt.
    pub long_term: Vec<(u32, Option<u32>)>,
    /// list_entry_l0.
    pub list_entries: Option<Vec<u32>>,
    /// merge_idx of all units.
    pub merge_idx: u32,
}

impl Segment {
    /// The first segment of an I picture.
    pub fn intra(kind: u8, poc_lsb: u32) -> Self {
        Segment {
            kind,
            address: None,
            dependent: false,
            poc_lsb,
            output: true,
            colour_plane: None,
            short_term: Vec::new(),
            long_term: Vec::new(),
            list_entries: None,
            merge_idx: 0,
        }
    }

    /// The first segment of a P picture.
    pub fn inter(poc_lsb: u32, short_term: &[u32], merge_idx: u32) -> Self {
        Segment {
            short_term: short_term.to_vec(),
            merge_idx,
            ..Segment::intra(TRAIL_R, poc_lsb)
        }
    }

    fn is_inter(&self) -> bool {
        !(self.short_term.is_empty() && self.long_term.is_empty())
    }
}

/// slice_segment_header() up to the entry points.
fn header(s: &Segment, sequence: &Sequence, p: &Parameters) -> Bits {
    let mut bits = Bits::default().flag(s.address.is_none());
    if (16..24).contains(&s.kind) {
        bits = bits.flag(false);
    }
    bits = bits.ue(p.id);
    if let Some((address, length)) = s.address {
        if p.dependent_segments {
            bits = bits.flag(s.dependent);
        }
        bits = bits.u(length, address);
    }
    if s.dependent {
        return bits;
    }
    bits = bits.u(p.extra_bits, 0b101);
    bits = bits.ue(if s.is_inter() { 1 } else { 2 });
    if p.output_flag {
        bits = bits.flag(s.output);
    }
    if let Some(plane) = s.colour_plane {
        bits = bits.u(2, plane);
    }
    if s.kind != IDR {
        bits = reference_pictures(bits.u(4, s.poc_lsb), s, sequence);
    }
    if s.is_inter() {
        let count = (s.short_term.len() + s.long_term.len()) as u32;
        bits = bits.flag(true).ue(count - 1);
        if p.list_modification && count > 1 {
            bits = bits.flag(s.list_entries.is_some());
            let length = (count - 1).ilog2() + 1;
            for &entry in s.list_entries.iter().flatten() {
                bits = bits.u(length, entry);
            }
        }
        bits = bits.ue(0);
    }
    bits.se(0)
}

/// short_term_ref_pic_set_sps_flag to used_by_curr_pic_lt_flag.
fn reference_pictures(bits: Bits, s: &Segment, sequence: &Sequence) -> Bits {
    let mut bits = bits.flag(false).ues(&[s.short_term.len() as u32, 0]);
    let mut before = 0;
    for &distance in &s.short_term {
        bits = bits.ue(distance - before - 1).flag(true);
        before = distance;
    }
    if sequence.long_term {
        bits = bits.ue(s.long_term.len() as u32);
        for &(lsb, cycle) in &s.long_term {
            bits = bits.u(4, lsb).flag(true).flag(cycle.is_some());
            if let Some(cycle) = cycle {
                bits = bits.ue(cycle);
            }
        }
    }
    bits
}

/// A slice segment of `units` coding tree units.
pub fn segment(s: &Segment, sequence: &Sequence, p: &Parameters, units: usize) -> Vec<u8> {
    let mut encoder = Encoder::new(States::new());
    for i in 0..units {
        coding_tree_unit(&mut encoder, s, sequence);
        encoder.terminate(i + 1 == units);
    }
    segment_of(s, sequence, p, &[encoder.bits()])
}

/// A slice segment with coded substreams.
pub fn segment_of(
    s: &Segment,
    sequence: &Sequence,
    p: &Parameters,
    substreams: &[Vec<bool>],
) -> Vec<u8> {
    let mut bits = header(s, sequence, p);
    if p.tiles.is_some() || p.wavefront {
        let entries = &substreams[..substreams.len() - 1];
        bits = bits.ue(entries.len() as u32);
        if !entries.is_empty() {
            bits = bits.ue(15);
        }
        for entry in entries {
            bits = bits.u(16, entry.len() as u32 / 8 - 1);
        }
    }
    if p.header_extension {
        bits = bits.ue(3).u(24, 0xabcdef);
    }
    let bits = substreams.iter().fold(bits.align(), |b, s| b.extend(s));
    nal(s.kind, &bits.bytes())
}

/// One coding unit.
pub fn coding_tree_unit(encoder: &mut Encoder, s: &Segment, sequence: &Sequence) {
    const INTRA: [Context; 3] = [
        ("part_mode", 184),
        ("prev_intra_luma_pred_flag", 184),
        ("cbf_luma", 141),
    ];
    if s.is_inter() {
        // Pictures of P slices have one coding tree unit, without skipped neighbours.
        encoder.bin(("cu_skip_flag", 197), true);
        encoder.bin(("merge_idx", 122), s.merge_idx > 0);
        (1..4.min(s.merge_idx + 1)).for_each(|i| encoder.bypass(i < s.merge_idx));
        return;
    }
    encoder.bin(INTRA[0], true);
    if sequence.pcm {
        encoder.terminate(false);
    }
    encoder.bin(INTRA[1], true);
    encoder.bypass(false);
    encoder.bin(INTRA[2], false);
}
