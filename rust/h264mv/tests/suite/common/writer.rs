//! Writer of small streams, bit by bit, for cases that no available encoder produces.

use testkit::bits::{self, Bits};

/// A NAL unit, with emulation prevention.
pub fn nal(head: u8, rbsp: &[u8]) -> Vec<u8> {
    bits::nal(&[head], rbsp)
}

/// Content of the sequence parameter set written by [`sps`].
#[derive(Clone)]
pub struct Sequence {
    pub profile_idc: u32,
    pub gaps_allowed: bool,
    pub max_num_ref_frames: u32,
    /// In crop units: left, right, top, bottom.
    pub crop: Option<[u32; 4]>,
    /// aspect_ratio_idc, and the ratio for 255.
    pub sar: Option<(u32, u32, u32)>,
    /// max_num_reorder_frames, max_dec_frame_buffering.
    pub restriction: Option<(u32, u32)>,
}

impl Default for Sequence {
    fn default() -> Self {
        Sequence {
            profile_idc: 66,
            gaps_allowed: false,
            max_num_ref_frames: 2,
            crop: None,
            sar: None,
            restriction: None,
        }
    }
}

/// Sequence parameter set 0: 2x2 frame macroblocks, frame_num of 4 bits, POC type 2.
pub fn sps(sequence: &Sequence) -> Vec<u8> {
    let mut bits = Bits::default().u(8, sequence.profile_idc).u(8, 0).u(8, 10);
    bits = bits.ue(0);
    if sequence.profile_idc >= 100 {
        // 4:2:0, 8 bits, no scaling matrix.
        bits = bits.ues(&[1, 0, 0]).u(2, 0);
    }
    bits = bits.ues(&[0, 2, sequence.max_num_ref_frames]);
    bits = bits.flag(sequence.gaps_allowed).ues(&[1, 1]).u(2, 0b11);
    bits = bits.flag(sequence.crop.is_some());
    if let Some(crop) = &sequence.crop {
        bits = bits.ues(crop);
    }
    let vui = sequence.sar.is_some() || sequence.restriction.is_some();
    bits = bits.flag(vui);
    if vui {
        bits = bits.flag(sequence.sar.is_some());
        if let Some((idc, width, height)) = sequence.sar {
            bits = bits.u(8, idc);
            if idc == 255 {
                bits = bits.u(16, width).u(16, height);
            }
        }
        // No overscan, signal type, chroma location, timing, HRD (two) and pic_struct.
        bits = bits.u(7, 0).flag(sequence.restriction.is_some());
        if let Some((reorder, buffering)) = sequence.restriction {
            bits = bits.u(1, 1).ues(&[2, 1, 9, 9, reorder, buffering]);
        }
    }
    nal(0x67, &bits.rbsp())
}

/// Picture parameter set 0: CAVLC, `slice_groups` slice groups, one reference.
pub fn pps(slice_groups: u32) -> Vec<u8> {
    let bits = Bits::default().ues(&[0, 0]).u(2, 0).ue(slice_groups - 1);
    let bits = bits.ues(&[0, 0]).u(3, 0).ues(&[0, 0, 0]).u(3, 0);
    nal(0x68, &bits.rbsp())
}

/// Content of a picture written by [`picture`].
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Idr,
    /// Intra macroblocks.
    I,
    /// Skipped macroblocks.
    P,
}

/// A reference picture of one slice, with the parameter sets of [`sps`] and [`pps`].
pub fn picture(kind: Kind, frame_num: u32) -> Vec<u8> {
    slice(kind, frame_num, if kind == Kind::P { 5 } else { 7 })
}

/// As [`picture`], with another slice_type.
pub fn slice(kind: Kind, frame_num: u32, slice_type: u32) -> Vec<u8> {
    let idr = kind == Kind::Idr;
    let mut bits = Bits::default().ues(&[0, slice_type, 0]).u(4, frame_num);
    if idr {
        bits = bits.ue(0);
    }
    if kind == Kind::P {
        // num_ref_idx_active_override_flag and ref_pic_list_modification_flag.
        bits = bits.u(2, 0);
    }
    bits = bits.u(if idr { 2 } else { 1 }, 0).ue(0);
    match kind {
        Kind::P => bits = bits.ue(4),
        // I_16x16 without coefficients: mb_type, chroma mode, mb_qp_delta, coeff_token of nC 0.
        _ => (0..4).for_each(|_| bits = std::mem::take(&mut bits).ues(&[1, 0, 0]).u(1, 1)),
    }
    nal(if idr { 0x65 } else { 0x61 }, &bits.rbsp())
}

/// An SEI NAL unit with a recovery point message.
pub fn recovery_point(frames: u32) -> Vec<u8> {
    let message = Bits::default().ue(frames).u(4, 0).rbsp();
    let mut rbsp = vec![6, message.len() as u8];
    rbsp.extend(message);
    rbsp.push(0x80);
    nal(6, &rbsp)
}

/// An SEI NAL unit with the build number of x264.
pub fn x264_message(build: u32, text: &str) -> Vec<u8> {
    let mut rbsp = vec![5];
    let text = format!("x264 - core {build}{text}");
    let mut size = 16 + text.len();
    while size >= 255 {
        rbsp.push(255);
        size -= 255;
    }
    rbsp.push(size as u8);
    rbsp.extend([0xdc; 16]);
    rbsp.extend(text.as_bytes());
    rbsp.push(0x80);
    nal(6, &rbsp)
}
