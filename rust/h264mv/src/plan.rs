//! What is known of a picture before its slice data is parsed.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::nal::unescape;
use crate::params::Sps;
use crate::pps::Pps;
use crate::refs::RefPic;
use crate::slice::{SliceHeader, SliceType, Structure};

/// A picture as its headers describe it.
#[derive(Debug, Clone)]
pub struct PictureInfo {
    /// Position in decoding order; the two fields of a frame are two pictures.
    pub decode_index: u64,
    /// Index of the sample (or byte offset of the NAL unit) that the first slice came with.
    pub sample: u64,
    /// Identity of the frame; both fields of a frame share it.
    pub frame: u32,
    /// Whether this is the second field of its frame.
    pub second_field: bool,
    /// PicOrderCnt relative to the last IDR picture.
    pub poc: i32,
    /// TopFieldOrderCnt and BottomFieldOrderCnt of the frame so far (`i32::MAX`: no such field).
    pub field_poc: [i32; 2],
    /// Counts IDR pictures and memory_management_control_operation 5.
    pub period: u32,
    /// Orders pictures inside a period: (period, order_poc) is presentation order.
    pub order_poc: i32,
    /// B if any slice is B, else P if any slice is P.
    pub slice_type: SliceType,
    /// Frame, top or bottom field.
    pub structure: Structure,
    /// MbaffFrameFlag.
    pub mbaff: bool,
    /// Number of slices.
    pub slices: u32,
    /// Whether this is an IDR picture.
    pub idr: bool,
    /// IDR, or a picture that a recovery point message announces.
    pub keyframe: bool,
    /// recovery_frame_cnt of a recovery point message: how many frames to decode from this one on
    /// until pictures are right. IDR pictures: 0.
    pub recovery_frame_cnt: Option<u32>,
    /// frame_num of its slices.
    pub frame_num: u32,
    /// frame_num skipped frames before this picture: they are lost, or left out on purpose where
    /// the sequence parameter set allows gaps.
    pub gap: bool,
    /// Build number of the x264 that made the stream, where it says so.
    pub x264_build: Option<u32>,
    /// nal_ref_idc is not 0.
    pub reference: bool,
    /// entropy_coding_mode_flag of the first slice.
    pub cabac: bool,
    /// Bits of the picture's slice NAL units.
    pub nal_bits: u64,
    /// Width of this picture in macroblocks.
    pub width_mbs: u32,
    /// Height of this picture in macroblocks (a field: of the field).
    pub height_mbs: u32,
    /// The sequence parameter set that the picture is coded with.
    pub sps: Arc<Sps>,
}

/// A slice with everything that parsing its data needs.
#[derive(Debug, Clone)]
pub(crate) struct SlicePlan {
    pub header: SliceHeader,
    pub pps: Arc<Pps>,
    /// Empty when only headers are followed.
    pub rbsp: Vec<u8>,
    /// The sample that the slice came with, and which of its NAL units the slice is.
    pub place: (u64, u32),
    /// Bytes of its NAL unit.
    pub bytes: usize,
    pub lists: [Vec<RefPic>; 2],
    /// What lists and direct modes see may not be what was coded, because of lost pictures.
    pub doubt: Doubt,
}

/// How far lost pictures make the reference lists of a slice doubtful.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Doubt {
    None,
    /// Indices may mean other pictures: a field is lost, or frames were left out of a B picture's
    /// order of output on purpose.
    Indices,
    /// Of B slices the co-located picture may be another as well: a frame is lost whose place in the
    /// order of output is a guess.
    Motion,
}

/// A picture's headers, slice data and resolved reference lists: with the co-located motion, all
/// that its motion is a function of.
#[derive(Debug, Clone)]
pub struct PicturePlan {
    /// What the headers say.
    pub info: PictureInfo,
    pub(crate) slices: Vec<SlicePlan>,
    /// Frames that later pictures may still refer to.
    pub(crate) live: Vec<u32>,
    /// Pictures were lost since the last IDR picture, or before the stream began: what the reference
    /// lists miss is no fault of this picture.
    pub(crate) after_loss: bool,
    /// Damage seen before slice data is looked at.
    pub(crate) error: Option<Error>,
    /// The picture is known to hold no motion, and its slice data are not to be read.
    pub(crate) skim: bool,
}

impl PicturePlan {
    /// Frames whose motion the direct modes of this picture look at: RefPicList1[0] of its B slices.
    pub fn colocated_frames(&self) -> Vec<u32> {
        let mut frames: Vec<u32> = self
            .slices
            .iter()
            .filter_map(|s| s.lists[1].first())
            .filter(|entry| !entry.is_missing())
            .map(|entry| entry.frame)
            .collect();
        frames.sort_unstable();
        frames.dedup();
        frames
    }

    /// Whether the headers say that all slices of the picture are I slices, those that were lost
    /// included: then no damage of slice data changes its motion.
    pub fn is_intra(&self) -> bool {
        let intra = |s: &SlicePlan| s.header.slice_type == SliceType::I;
        self.error.is_none()
            && self.slices.iter().all(intra)
            && self.slices.iter().any(|s| s.header.all_alike)
    }

    /// Has the slice data left out.
    pub(crate) fn skim(&mut self) {
        self.skim = true;
        self.slices.iter_mut().for_each(|s| s.rbsp = Vec::new());
    }

    /// The samples that hold the picture's slices.
    pub fn samples(&self) -> Vec<u64> {
        let mut samples: Vec<u64> = self.slices.iter().map(|s| s.place.0).collect();
        samples.sort_unstable();
        samples.dedup();
        samples
    }

    /// Gives slice data to a plan of headers alone. `units` returns a NAL unit by its sample and
    /// its position among the units that were pushed with that sample.
    pub fn attach<'a>(&mut self, units: impl Fn(u64, u32) -> Option<&'a [u8]>) -> Result<()> {
        for slice in &mut self.slices {
            let (sample, position) = slice.place;
            let found = units(sample, position);
            // Another size: these are not the units that the plan was made from.
            let nal = found.filter(|nal| nal.len() == slice.bytes && !nal.is_empty());
            let nal = nal.ok_or(Error::malformed(
                "slice NAL unit: not the one that was indexed",
            ))?;
            unescape(&nal[1..], &mut slice.rbsp);
        }
        Ok(())
    }
}
