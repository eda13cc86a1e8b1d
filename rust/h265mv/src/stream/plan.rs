//! What is known of a picture before its slice data is parsed.

use std::sync::Arc;

use bitstream::codec::{fit, Plan};
use bitstream::nal::unescape;
use bitstream::{Error, Result};

use crate::refs::RefPic;
use crate::syntax::nal::NalHeader;
use crate::syntax::pps::Pps;
use crate::syntax::slice::{SliceHeader, SliceType};
use crate::syntax::sps::Sps;

/// A picture as its headers describe it.
#[derive(Debug, Clone)]
pub struct PictureInfo {
    /// Position in decoding order, among the pictures that are decoded.
    pub decode_index: u64,
    /// Number of the sample (or byte offset of the NAL unit) that the first slice segment came with.
    pub sample: u64,
    /// PicOrderCntVal.
    pub poc: i32,
    /// NoOutputOfPriorPicsFlag: pictures before this one that are not output yet are discarded.
    pub no_output_of_prior_pics: bool,
    /// Counts coded video sequences: (period, poc) is the order of presentation.
    pub period: u32,
    /// B if any slice is B, else P if any slice is P.
    pub slice_type: SliceType,
    /// nal_unit_type of the first slice segment.
    pub nal_unit_type: u8,
    /// TemporalId.
    pub temporal_id: u8,
    /// Intra random access point picture.
    pub irap: bool,
    /// Not a sub-layer non-reference picture.
    pub reference: bool,
    /// pic_output_flag: the picture is shown.
    pub output: bool,
    /// Number of slices.
    pub slices: u32,
    /// A picture of its reference picture set is not in the stream.
    pub incomplete_references: bool,
    /// Bits of the picture's slice segment NAL units.
    pub nal_bits: u64,
    /// The sequence parameter set that the picture is coded with.
    pub sps: Arc<Sps>,
}

/// A slice segment with everything that parsing its data needs.
#[derive(Debug, Clone)]
pub(crate) struct SegmentPlan {
    pub header: SliceHeader,
    /// Number of the slice in the picture.
    pub slice: u16,
    /// Empty when only headers are followed.
    pub rbsp: Vec<u8>,
    /// The sample that the segment came with, and which of its NAL units the segment is.
    pub place: (u64, u32),
}

/// A picture's headers, slice data and reference lists: with the co-located motion, all that its
/// motion is a function of.
#[derive(Debug, Clone)]
pub struct PicturePlan {
    /// What the headers say.
    pub info: PictureInfo,
    pub(crate) pps: Arc<Pps>,
    pub(crate) segments: Vec<SegmentPlan>,
    /// RefPicList0 and 1 of each slice.
    pub(crate) lists: Vec<[Vec<RefPic>; 2]>,
    /// Pictures that later pictures may still refer to.
    pub(crate) live: Vec<u64>,
    /// Damage seen before slice data is looked at.
    pub(crate) error: Option<Error>,
    /// The picture has no motion, and its slice data is not read.
    pub(crate) skips_slice_data: bool,
}

impl PicturePlan {
    /// Whether a slice segment, not the first of its picture, may belong to this picture. If not, the first
    /// segment of its picture is lost.
    pub(crate) fn may_hold(&self, nal: NalHeader, pps_id: u32) -> bool {
        nal.nal_unit_type == self.info.nal_unit_type
            && nal.temporal_id == self.info.temporal_id
            && pps_id == self.pps.pic_parameter_set_id
    }

    /// The co-located picture of a slice segment, where temporal prediction is enabled.
    pub(crate) fn collocated(&self, segment: &SegmentPlan) -> Option<RefPic> {
        let header = &segment.header;
        if !header.temporal_mvp_enabled || header.slice_type == SliceType::I {
            return None;
        }
        let list = &self.lists[segment.slice as usize][!header.collocated.from_l0 as usize];
        list.get(header.collocated.ref_idx as usize).copied()
    }
}

impl Plan for PicturePlan {
    type Info = PictureInfo;

    fn info(&self) -> &PictureInfo {
        &self.info
    }

    fn presentation(&self) -> (u32, i32) {
        (self.info.period, self.info.poc)
    }

    fn frame(&self) -> u64 {
        self.info.decode_index
    }

    fn colocated(&self) -> Vec<u64> {
        if self.skips_slice_data {
            return Vec::new();
        }
        let pictures = |s| self.collocated(s)?.picture;
        let mut pictures: Vec<u64> = self.segments.iter().filter_map(pictures).collect();
        pictures.sort_unstable();
        pictures.dedup();
        pictures
    }

    /// Only IRAP pictures have no other slices than I slices, lost ones included.
    fn is_intra(&self) -> bool {
        let is_i = |s: &SegmentPlan| s.header.slice_type == SliceType::I;
        self.error.is_none() && self.info.irap && self.segments.iter().all(is_i)
    }

    /// None is: almost all pictures derive motion from others.
    fn is_deferrable(&self) -> bool {
        false
    }

    fn keeps(&self, frame: u64) -> bool {
        self.live.contains(&frame)
    }

    fn skip_slice_data(&mut self) {
        self.skips_slice_data = true;
        self.segments.iter_mut().for_each(|s| s.rbsp = Vec::new());
    }

    fn shrink(&mut self) {
        fit(&mut self.segments);
        fit(&mut self.live);
        fit(&mut self.lists);
        let lists = self.lists.iter_mut().flatten();
        lists.for_each(fit);
    }

    fn samples(&self) -> Vec<u64> {
        self.segments.iter().map(|s| s.place.0).collect()
    }

    fn attach<'a>(&mut self, units: impl Fn(u64, u32) -> Option<&'a [u8]>) -> Result<()> {
        for segment in &mut self.segments {
            let (sample, position) = segment.place;
            let nal = units(sample, position).filter(|nal| nal.len() > NalHeader::SIZE);
            let nal = nal.ok_or(Error::malformed("slice_segment_layer_rbsp: missing"))?;
            unescape(&nal[NalHeader::SIZE..], &mut segment.rbsp);
        }
        Ok(())
    }
}
