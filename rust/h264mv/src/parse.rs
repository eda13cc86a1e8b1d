//! Motion of a picture as a pure function of its plan and of co-located motion.

use std::sync::{Arc, Mutex};

use crate::context::{Context, Scratch, SliceParts};
use crate::direct::DirectContext;
use crate::error::{Error, Result};
use crate::picture::{FrameMotion, Motion, Picture, NO_SLICE};
use crate::plan::{Doubt, PicturePlan, SlicePlan};
use crate::ref_poc::RefPoc;
use crate::refs::RefPic;
use crate::slice::SliceType;
use crate::slice_data;

/// The first x264 build whose coded_block_flag of 8x8 blocks in 4:4:4 is the standard's.
const STANDARD_X264: u32 = 151;

/// Most arrays that wait for their next use.
const MAX_SPARE: usize = 64;

/// Arrays that nobody looks at any more, shared by the threads of a decoder.
#[derive(Debug, Default, Clone)]
pub struct Pool(Arc<Mutex<Spare>>);

#[derive(Debug, Default)]
struct Spare {
    motions: Vec<Motion>,
    ref_pocs: Vec<RefPoc>,
}

/// Of those used last one that `fits`, else any.
fn choose<T: Default>(spare: &mut Vec<T>, fits: impl Fn(&T) -> bool) -> T {
    match spare.iter().rposition(fits) {
        Some(index) => spare.remove(index),
        None => spare.pop().unwrap_or_default(),
    }
}

impl Pool {
    fn with<T: Default>(&self, use_spare: impl FnOnce(&mut Spare) -> T) -> T {
        self.0
            .lock()
            .map_or_else(|_| T::default(), |mut s| use_spare(&mut s))
    }

    /// Arrays to fill, where possible such that their second list need not be cleared.
    fn take(&self, lists: usize) -> Motion {
        self.with(|s| choose(&mut s.motions, |m| m.list1_clear == (lists < 2)))
    }

    fn take_ref_poc(&self, lists: usize) -> RefPoc {
        self.with(|s| choose(&mut s.ref_pocs, |p| p.list1_clear == (lists < 2)))
    }

    /// Takes motion back, where nobody else holds it.
    pub(crate) fn recycle_motion(&self, motion: Arc<Motion>) {
        if let Ok(motion) = Arc::try_unwrap(motion) {
            self.with(|s| {
                if s.motions.len() < MAX_SPARE {
                    s.motions.push(motion);
                }
            });
        }
    }

    /// Takes the arrays of a picture back, where nobody else holds them.
    pub fn recycle(&self, motion: Arc<Motion>, ref_poc: RefPoc) {
        self.recycle_motion(motion);
        self.with(|s| {
            if s.ref_pocs.len() < MAX_SPARE {
                s.ref_pocs.push(ref_poc);
            }
        });
    }
}

/// Reusable buffers of a thread that parses pictures.
#[derive(Debug, Default)]
pub struct Workspace {
    scratch: Scratch,
    /// Where its pictures' arrays come from.
    pub pool: Pool,
}

impl Workspace {
    /// A workspace that shares `pool` with others.
    pub fn with_pool(pool: Pool) -> Self {
        Workspace {
            pool,
            ..Workspace::default()
        }
    }
}

/// Where co-located motion comes from, by frame.
pub trait ColocatedSource {
    /// The motion of a frame, once its pictures are parsed.
    fn colocated(&self, frame: u32) -> Option<FrameMotion>;
}

/// Parses the motion of a picture. Damage is reported in the picture, not as an error.
pub fn parse_picture(
    plan: &PicturePlan,
    source: &dyn ColocatedSource,
    work: &mut Workspace,
) -> Picture {
    if plan.skim {
        return without_motion(plan, work);
    }
    let info = &plan.info;
    let (w, h) = (info.width_mbs as usize, info.height_mbs as usize);
    let layout = Layout::of(plan);
    let lists = layout.lists;
    let mut motion = work.pool.take(lists);
    motion.prepare(w, h, info.mbaff, lists);
    work.scratch.prepare(w, h, info.mbaff);
    let mut damage = plan.error.clone();
    for slice in &plan.slices {
        motion.slice_refs.push(slice.lists.clone());
        let result = parse_slice(plan, slice, &layout, &mut motion, &mut work.scratch, source);
        if let Err(error) = result {
            damage.get_or_insert(error.in_picture(info.decode_index));
        }
    }
    let holes = conceal(&mut motion, w, lists);
    if let Some(address) = holes {
        let error = Error::malformed("slice_data: missing").in_macroblock(address);
        damage.get_or_insert(error.in_picture(info.decode_index));
    }
    let missing = uses_reference(plan, &motion, |e| e.is_missing());
    if missing {
        let what = "ref_idx_lX: refers to a picture that is not there";
        let error = if plan.after_loss {
            Error::lost_reference(what)
        } else {
            Error::malformed(what)
        };
        damage.get_or_insert(error.in_picture(info.decode_index));
    }
    motion.damaged = damage.is_some();
    let mut ref_poc = work.pool.take_ref_poc(lists);
    ref_poc.fill(&motion, lists);
    Picture {
        info: info.clone(),
        lost_reference: plan.slices.iter().any(|s| s.doubt > Doubt::None)
            || uses_reference(plan, &motion, |e| e.lost),
        motion: Arc::new(motion),
        ref_poc,
        damage,
    }
}

/// A picture of I slices alone.
fn without_motion(plan: &PicturePlan, work: &mut Workspace) -> Picture {
    let info = &plan.info;
    let (w, h) = (info.width_mbs as usize, info.height_mbs as usize);
    let mut motion = work.pool.take(0);
    motion.prepare(w, h, info.mbaff, 0);
    motion.stats.intra = (w * h) as u32;
    let mut ref_poc = work.pool.take_ref_poc(0);
    ref_poc.fill(&motion, 0);
    Picture {
        info: info.clone(),
        lost_reference: false,
        motion: Arc::new(motion),
        ref_poc,
        damage: None,
    }
}

fn parse_slice(
    plan: &PicturePlan,
    slice: &SlicePlan,
    layout: &Layout,
    motion: &mut Motion,
    scratch: &mut Scratch,
    source: &dyn ColocatedSource,
) -> Result<()> {
    let info = &plan.info;
    let header = &slice.header;
    let (w, h) = (info.width_mbs as usize, info.height_mbs as usize);
    let end = layout
        .end(header.first_mb_in_slice)
        .ok_or(Error::malformed("first_mb_in_slice"))?;
    let first = header.first_mb_in_slice as usize;
    let first_mb = if info.mbaff {
        first / w * 2 * w + first % w
    } else {
        first
    };
    if motion.mb_slice[first_mb] != NO_SLICE {
        return Err(Error::malformed("first_mb_in_slice: slices overlap"));
    }
    let first = slice.lists[1].first().filter(|e| !e.is_missing());
    let frame = first.filter(|_| header.slice_type == SliceType::B);
    let colocated = frame.and_then(|entry| source.colocated(entry.frame));
    let suspect = colocated.as_ref().is_some_and(FrameMotion::damaged);
    let direct = DirectContext {
        colocated: colocated.as_ref(),
        lists: &slice.lists,
        poc: [info.poc, info.field_poc[0], info.field_poc[1]],
        parity: header.structure.parity(),
        after_loss: plan.after_loss,
        doubtful: slice.doubt == Doubt::Motion,
    };
    let parts = SliceParts {
        header,
        sps: &info.sps,
        transform_8x8_mode_flag: slice.pps.transform_8x8_mode_flag,
        early_x264: info.x264_build.is_some_and(|build| build < STANDARD_X264),
        slice_number: (motion.slice_refs.len() - 1).min(NO_SLICE as usize - 1) as u16,
        lists: layout.lists,
        size: (w, h),
        end,
    };
    let mut cx = Context::new(parts, motion, scratch, direct);
    let result = match (slice.pps.entropy_coding_mode_flag, info.mbaff) {
        (true, false) => slice_data::cabac(&mut cx, &slice.rbsp),
        (false, false) => slice_data::cavlc(&mut cx, &slice.rbsp),
        (true, true) => slice_data::cabac_mbaff(&mut cx, &slice.rbsp),
        (false, true) => slice_data::cavlc_mbaff(&mut cx, &slice.rbsp),
    };
    if suspect {
        // Direct blocks may repeat the damage of the picture that they look at.
        return result.and(Err(Error::lost_reference(
            "slice_data of the co-located picture",
        )));
    }
    result
}

/// What the slices of a picture have in common.
struct Layout {
    /// Lists that the arrays of the picture hold.
    lists: usize,
    /// first_mb_in_slice of all slices in ascending order, then the end of the picture.
    starts: Vec<u32>,
}

impl Layout {
    fn of(plan: &PicturePlan) -> Self {
        let units = (plan.info.width_mbs * plan.info.height_mbs) >> plan.info.mbaff as u32;
        let firsts = plan.slices.iter().map(|s| s.header.first_mb_in_slice);
        let mut starts: Vec<u32> = firsts.filter(|&first| first < units).collect();
        starts.push(units);
        starts.sort_unstable();
        let lists = plan.slices.iter().map(|s| s.header.lists()).max();
        Layout {
            lists: lists.unwrap_or(0),
            starts,
        }
    }

    /// Where the slice that starts at `first` has to end.
    fn end(&self, first: u32) -> Option<usize> {
        let next = self.starts.partition_point(|&start| start <= first);
        self.starts.get(next).map(|&end| end as usize)
    }
}

/// Clears macroblocks that no slice gave; the first of them, if any.
fn conceal(motion: &mut Motion, w: usize, lists: usize) -> Option<u32> {
    let first = motion.mb_slice.iter().position(|&s| s == NO_SLICE)?;
    for mb in first..motion.mb_slice.len() {
        if motion.mb_slice[mb] != NO_SLICE {
            continue;
        }
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

/// Whether a block refers to an entry of which `test` holds.
fn uses_reference(plan: &PicturePlan, motion: &Motion, test: fn(&RefPic) -> bool) -> bool {
    let candidate = |s: &SlicePlan| s.lists.iter().flatten().any(test);
    if !plan.slices.iter().any(candidate) {
        return false;
    }
    let w = motion.w4 / 4;
    let plane = motion.w4 * motion.h4;
    motion.ref_idx.iter().enumerate().any(|(i, &ref_idx)| {
        let (list, at) = (i / plane, i % plane);
        let (x, y) = (at % motion.w4 / 4, at / motion.w4 / 4);
        ref_idx >= 0
            && motion.mb_slice[y * w + x] != NO_SLICE
            && test(&motion.reference(list, ref_idx, x, y))
    })
}
