//! A picture: header information and parsed motion.

use std::sync::Arc;

use crate::motion::field::MotionField;
use crate::motion::ref_poc::RefPoc;
use crate::syntax::slice_header::{SliceType, Structure};
use crate::syntax::sps::Sps;
use bitstream::Error;

/// Header information of a picture.
#[derive(Debug, Clone)]
pub struct PictureInfo {
    /// Position in decoding order; the two fields of a frame are two pictures.
    pub decode_index: u64,
    /// Sample number (or byte offset of the NAL unit) of the first slice.
    pub sample: u64,
    /// Identity of the frame; both fields of a frame share it.
    pub frame: u32,
    /// Whether this is the second field of its frame.
    pub second_field: bool,
    /// PicOrderCnt relative to the last IDR picture.
    pub poc: i32,
    /// TopFieldOrderCnt and BottomFieldOrderCnt of the frame so far (`i32::MAX` without that field).
    pub field_poc: [i32; 2],
    /// Number of IDR pictures and memory_management_control_operation 5 so far.
    pub period: u32,
    /// Sorts pictures inside a period: (period, order_poc) is presentation order.
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
    /// recovery_frame_cnt of its recovery point message: number of frames to decode from this one on
    /// until pictures are exact. 0 for IDR pictures.
    pub recovery_frame_cnt: Option<u32>,
    /// frame_num of its slices.
    pub frame_num: u32,
    /// frame_num skips frames before this picture: they are lost, or were omitted on purpose if the
    /// sequence parameter set allows gaps.
    pub gap: bool,
    /// Build number of the x264 that encoded the stream, if known.
    pub x264_build: Option<u32>,
    /// nal_ref_idc is not 0.
    pub reference: bool,
    /// entropy_coding_mode_flag of the first slice.
    pub cabac: bool,
    /// Size of the picture's slice NAL units in bits.
    pub nal_bits: u64,
    /// Width of this picture in macroblocks.
    pub width_mbs: u32,
    /// Height of this picture (frame or field) in macroblocks.
    pub height_mbs: u32,
    /// Sequence parameter set of the picture.
    pub sps: Arc<Sps>,
}

impl PictureInfo {
    /// Whether decoding can start at this picture: IDR pictures, and I pictures with a recovery point message
    /// of recovery_frame_cnt 0 (clause D.2.8). In periodic intra refresh, where the count is larger or the
    /// picture has other slices, it can't: pictures are exact only later.
    pub fn is_keyframe(&self) -> bool {
        let exact = self.recovery_frame_cnt == Some(0) && self.slice_type == SliceType::I;
        self.idr || exact
    }
}

/// A parsed picture.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Header information.
    pub info: PictureInfo,
    /// Vectors and reference indices.
    pub motion: Arc<MotionField>,
    /// The POC of each block's reference.
    pub ref_poc: RefPoc,
    /// First damage of the picture. Macroblocks that could not be parsed have no motion, and others
    /// may be wrong.
    pub damage: Option<Error>,
    /// A block refers to a lost frame (a gap in frame_num, or before the first picture), or lost frames
    /// make the order of the reference lists uncertain: the POC of references is a guess. Vectors and
    /// reference indices are as coded; only where a single field is lost, direct modes may have read
    /// another picture.
    pub lost_reference: bool,
}
