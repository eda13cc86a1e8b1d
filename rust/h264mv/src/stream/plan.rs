//! A picture before its slice data is parsed.

use std::sync::Arc;

use bitstream::codec::{fit, Plan};
use bitstream::nal::unescape;
use bitstream::{Error, Result};

use crate::refs::ref_pic::RefPic;
use crate::stream::picture::PictureInfo;
use crate::stream::recovery::Uncertainty;
use crate::syntax::pps::Pps;
use crate::syntax::slice_header::{SliceHeader, SliceType};

/// Where a slice NAL unit is in the stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnitPosition {
    pub sample: u64,
    /// Index among the NAL units of the sample.
    pub index: u32,
    /// Size of the NAL unit in bytes.
    pub size: usize,
}

/// A slice with all that parsing its data requires.
#[derive(Debug, Clone)]
pub(crate) struct SlicePlan {
    pub header: SliceHeader,
    pub pps: Arc<Pps>,
    /// Empty if only headers are parsed.
    pub rbsp: Vec<u8>,
    pub position: UnitPosition,
    /// RefPicList0 and RefPicList1.
    pub lists: [Vec<RefPic>; 2],
    /// Whether the lists may differ from the coded ones because of lost pictures.
    pub uncertainty: Uncertainty,
}

/// Headers, slice data and reference lists of a picture. Its motion is a function of them and of the
/// co-located motion.
#[derive(Debug, Clone)]
pub struct PicturePlan {
    pub(crate) info: PictureInfo,
    pub(crate) slices: Vec<SlicePlan>,
    /// Frames that later pictures may refer to.
    pub(crate) live: Vec<u32>,
    /// Pictures were lost since the last IDR picture, or the stream began without one: missing references
    /// are no damage of this picture.
    pub(crate) after_loss: bool,
    /// Damage found while headers were parsed.
    pub(crate) error: Option<Error>,
    /// The picture has I slices only and its slice data are not parsed.
    pub(crate) skipped: bool,
}

impl SlicePlan {
    /// The frame that direct modes of the slice read: `RefPicList1[0]` of a B slice.
    pub fn colocated_frame(&self) -> Option<u32> {
        let first = self.lists[1].first()?;
        (!first.is_missing()).then_some(first.frame)
    }
}

impl PicturePlan {
    /// Whether the lists of a slice may differ from the coded ones.
    pub fn is_uncertain(&self) -> bool {
        let mut slices = self.slices.iter();
        slices.any(|s| s.uncertainty > Uncertainty::None)
    }

    /// Frames whose motion direct modes of this picture read: `RefPicList1[0]` of its B slices.
    pub(crate) fn colocated_frames(&self) -> Vec<u32> {
        let slices = self.slices.iter();
        let mut frames: Vec<u32> = slices.filter_map(SlicePlan::colocated_frame).collect();
        frames.sort_unstable();
        frames.dedup();
        frames
    }
}

impl Plan for PicturePlan {
    type Info = PictureInfo;

    fn info(&self) -> &PictureInfo {
        &self.info
    }

    fn presentation(&self) -> (u32, i32) {
        (self.info.period, self.info.order_poc)
    }

    fn frame(&self) -> u64 {
        self.info.frame.into()
    }

    fn colocated(&self) -> Vec<u64> {
        self.colocated_frames().into_iter().map(u64::from).collect()
    }

    fn is_intra(&self) -> bool {
        let intra = |s: &SlicePlan| s.header.slice_type == SliceType::I;
        self.error.is_none()
            && self.slices.iter().all(intra)
            && self.slices.iter().any(|s| s.header.all_same_type)
    }

    fn is_deferrable(&self) -> bool {
        let mut entries = self.slices.iter().flat_map(|s| s.lists.iter().flatten());
        self.error.is_none()
            && !self.after_loss
            && !self.is_uncertain()
            && !entries.any(|entry| entry.lost || entry.is_missing())
    }

    fn keeps(&self, frame: u64) -> bool {
        self.live.iter().any(|&live| u64::from(live) == frame)
    }

    fn skip_slice_data(&mut self) {
        self.skipped = true;
        self.slices.iter_mut().for_each(|s| s.rbsp = Vec::new());
    }

    fn shrink(&mut self) {
        fit(&mut self.slices);
        fit(&mut self.live);
        for slice in &mut self.slices {
            slice.lists.iter_mut().for_each(fit);
            let coded = &mut slice.header.modifications;
            coded.iter_mut().for_each(fit);
        }
    }

    fn samples(&self) -> Vec<u64> {
        let slices = self.slices.iter();
        slices.map(|slice| slice.position.sample).collect()
    }

    fn attach<'a>(&mut self, units: impl Fn(u64, u32) -> Option<&'a [u8]>) -> Result<()> {
        for slice in &mut self.slices {
            let UnitPosition {
                sample,
                index,
                size,
            } = slice.position;
            // Another size: the index was made from other data.
            let nal = units(sample, index).filter(|nal| nal.len() == size && size > 0);
            let nal = nal.ok_or(Error::malformed(
                "slice NAL unit: differs from the indexed one",
            ))?;
            unescape(&nal[1..], &mut slice.rbsp);
        }
        Ok(())
    }
}
