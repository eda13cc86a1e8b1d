//! Motion of a picture, as a function of its plan and of co-located motion.

use std::sync::Arc;

use crate::motion::colocated::{DirectInputs, FrameMotion};
use crate::motion::context::{MbContext, Scratch, SliceInputs};
use crate::motion::field::{MotionField, NO_SLICE};
use crate::refs::ref_pic::RefPic;
use crate::slice_data;
use crate::stream::motion_store::MotionStore;
use crate::stream::picture::Picture;
use crate::stream::plan::{PicturePlan, SlicePlan};
use crate::stream::pool::Pool;
use crate::stream::recovery::Uncertainty;
use bitstream::{Error, Result};

/// The first x264 build that uses the standard's contexts of coded_block_flag for 8x8 blocks in 4:4:4.
const FIRST_CONFORMING_X264: u32 = 151;

/// Reusable buffers of a thread that parses pictures.
#[derive(Debug)]
pub struct Workspace {
    scratch: Scratch,
    pool: Pool,
}

impl Workspace {
    /// A workspace that takes the arrays of pictures from `pool`.
    pub fn new(pool: Pool) -> Self {
        Workspace {
            scratch: Scratch::default(),
            pool,
        }
    }

    /// Makes a picture of parsed motion.
    fn finish(
        &self,
        plan: &PicturePlan,
        motion: MotionField,
        lists: usize,
        damage: Option<Error>,
    ) -> Picture {
        let mut ref_poc = self.pool.take_ref_poc(lists);
        ref_poc.fill(&motion, lists);
        Picture {
            info: plan.info.clone(),
            lost_reference: plan.is_uncertain() || uses_reference(plan, &motion, |e| e.lost),
            motion: Arc::new(motion),
            ref_poc,
            damage,
        }
    }
}

/// Parses the motion of a picture. Damage is reported in the picture, not as an error.
pub(crate) fn parse_picture(
    plan: &PicturePlan,
    colocated: &MotionStore,
    workspace: &mut Workspace,
) -> Picture {
    let info = &plan.info;
    let (w, h) = (info.width_mbs as usize, info.height_mbs as usize);
    let layout = Layout::of(plan);
    let lists = layout.lists;
    let mut motion = workspace.pool.take_motion(lists);
    motion.prepare(w, h, info.mbaff, lists);
    if plan.skipped {
        motion.stats.intra = (w * h) as u32;
        return workspace.finish(plan, motion, lists, None);
    }
    workspace.scratch.prepare(w, h, info.mbaff);
    let mut damage = plan.error.clone();
    let mut record = |error: Error| {
        damage.get_or_insert(error.in_picture(info.decode_index));
    };
    for slice in &plan.slices {
        motion.slice_refs.push(slice.lists.clone());
        let scratch = &mut workspace.scratch;
        parse_slice(plan, slice, &layout, &mut motion, scratch, colocated)
            .unwrap_or_else(&mut record);
    }
    if let Some(address) = clear_missing(&mut motion, lists) {
        record(Error::malformed("slice_data: missing").in_block("macroblock", address));
    }
    if uses_reference(plan, &motion, RefPic::is_missing) {
        let what = "ref_idx_lX: no reference picture";
        record(if plan.after_loss {
            Error::lost_reference(what)
        } else {
            Error::malformed(what)
        });
    }
    motion.damaged = damage.is_some();
    workspace.finish(plan, motion, lists, damage)
}

/// Parses a slice whose reference lists are the last ones of `motion.slice_refs`.
fn parse_slice(
    plan: &PicturePlan,
    slice: &SlicePlan,
    layout: &Layout,
    motion: &mut MotionField,
    scratch: &mut Scratch,
    colocated: &MotionStore,
) -> Result<()> {
    let info = &plan.info;
    let header = &slice.header;
    let (w, h) = (info.width_mbs as usize, info.height_mbs as usize);
    let first = header.first_mb_in_slice as usize;
    let end = layout.end(header.first_mb_in_slice)?;
    let first_mb = if info.mbaff {
        first / w * 2 * w + first % w
    } else {
        first
    };
    if motion.mb_slice[first_mb] != NO_SLICE {
        return Err(Error::malformed("first_mb_in_slice: slices overlap"));
    }
    let direct = direct_inputs(plan, slice, colocated);
    // Direct blocks may copy the damage of the co-located picture.
    let is_damage_copied = direct.colocated.is_some_and(FrameMotion::is_damaged);
    let inputs = SliceInputs {
        header,
        sps: &info.sps,
        transform_8x8_mode_flag: slice.pps.transform_8x8_mode_flag,
        early_x264: info
            .x264_build
            .is_some_and(|build| build < FIRST_CONFORMING_X264),
        slice_number: (motion.slice_refs.len() - 1).min(NO_SLICE as usize - 1) as u16,
        lists: layout.lists,
        size: (w, h),
        end,
    };
    let mut cx = MbContext::new(inputs, motion, scratch, direct);
    let cabac = slice.pps.entropy_coding_mode_flag;
    slice_data::parse(&mut cx, &slice.rbsp, cabac, info.mbaff)?;
    if is_damage_copied {
        return Err(Error::lost_reference(
            "slice_data of the co-located picture",
        ));
    }
    Ok(())
}

/// What direct modes of a slice read besides the current picture.
fn direct_inputs<'a>(
    plan: &PicturePlan,
    slice: &'a SlicePlan,
    colocated: &'a MotionStore,
) -> DirectInputs<'a> {
    let info = &plan.info;
    let frame = slice.colocated_frame();
    DirectInputs {
        colocated: frame.and_then(|frame| colocated.get(frame)),
        lists: &slice.lists,
        poc: [info.poc, info.field_poc[0], info.field_poc[1]],
        parity: slice.header.structure.parity(),
        after_loss: plan.after_loss,
        colocated_uncertain: slice.uncertainty == Uncertainty::Colocated,
    }
}

/// Extent of the slices of a picture.
struct Layout {
    /// Number of lists that the arrays of the picture hold.
    lists: usize,
    /// first_mb_in_slice of all slices in ascending order, followed by the end of the picture.
    starts: Vec<u32>,
}

impl Layout {
    fn of(plan: &PicturePlan) -> Self {
        let end = (plan.info.width_mbs * plan.info.height_mbs) >> plan.info.mbaff as u32;
        let firsts = plan.slices.iter().map(|s| s.header.first_mb_in_slice);
        let mut starts: Vec<u32> = firsts.filter(|&first| first < end).collect();
        starts.push(end);
        starts.sort_unstable();
        let lists = plan.slices.iter().map(|s| s.header.lists()).max();
        Layout {
            lists: lists.unwrap_or(0),
            starts,
        }
    }

    /// The macroblock or pair at which the slice that starts at `first` must end.
    fn end(&self, first: u32) -> Result<usize> {
        let next = self.starts.partition_point(|&start| start <= first);
        let end = self.starts.get(next).map(|&end| end as usize);
        end.ok_or(Error::malformed("first_mb_in_slice"))
    }
}

/// Clears macroblocks that no slice contains; returns the first of them.
fn clear_missing(motion: &mut MotionField, lists: usize) -> Option<u32> {
    let first = motion.mb_slice.iter().position(|&s| s == NO_SLICE)?;
    let w = motion.w4 / 4;
    for mb in (first..motion.mb_slice.len()).filter(|&mb| motion.mb_slice[mb] == NO_SLICE) {
        let grid = mb / w * 4 * motion.w4 + mb % w * 4;
        for list in 0..lists {
            for row in 0..4 {
                let i = list * motion.w4 * motion.h4 + grid + row * motion.w4;
                motion.mv[i..i + 4].fill([0; 2]);
                motion.ref_idx[i..i + 4].fill(-1);
            }
        }
    }
    Some(first as u32)
}

/// Whether a block refers to an entry for which `test` holds.
fn uses_reference(plan: &PicturePlan, motion: &MotionField, test: fn(&RefPic) -> bool) -> bool {
    let has_candidate = |s: &SlicePlan| s.lists.iter().flatten().any(test);
    plan.slices.iter().any(has_candidate) && motion.map_references(test).any(|used| used)
}
