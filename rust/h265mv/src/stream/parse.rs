//! Motion of a picture as a pure function of its plan and of co-located motion.

use std::sync::Arc;

use super::picture::Picture;
use super::plan::{PicturePlan, SegmentPlan};
use super::pool::Pool;
use crate::motion::derive::{Collocated, SliceMotion};
use crate::motion::derive_motion;
use crate::motion::field::Motion;
use crate::slice_data::{parse_segment, Neighbours, PictureSyntax, SegmentInfo, NO_SLICE};
use crate::syntax::tiles::CtbOrder;
use bitstream::Error;

/// A picture whose slice data is parsed and whose motion is not derived yet.
#[derive(Debug)]
pub struct Parsed {
    pub plan: PicturePlan,
    syntax: PictureSyntax,
    order: CtbOrder,
    damage: Option<Error>,
}

/// Parses the slice data of a picture; needs no other picture.
pub(crate) fn parse_syntax(
    plan: PicturePlan,
    near: &mut Neighbours,
    mut syntax: PictureSyntax,
) -> Parsed {
    let sps = plan.info.sps.clone();
    syntax.prepare(sps.size_in_ctbs());
    near.prepare(sps.width);
    let number = plan.info.decode_index;
    let mut damage = plan.error.clone();
    let order = CtbOrder::new(&sps, plan.pps.tiles.as_ref()).unwrap_or_else(|error| {
        damage.get_or_insert(error.in_picture(number));
        CtbOrder::default()
    });
    // The first of separate colour planes has the motion of all.
    for segment in plan.segments.iter().filter(|s| s.header.colour_plane == 0) {
        let info = SegmentInfo {
            sps: &sps,
            pps: &plan.pps,
            order: &order,
            header: &segment.header,
            slice: segment.slice,
        };
        if let Err(error) = parse_segment(info, &segment.rbsp, near, &mut syntax) {
            damage.get_or_insert(error.in_picture(number));
        }
    }
    if let Some(hole) = syntax.ctb_slice.iter().position(|&s| s == NO_SLICE) {
        let error = Error::malformed("slice_segment_data: missing")
            .in_block("coding tree unit", hole as u32);
        damage.get_or_insert(error.in_picture(number));
    }
    Parsed {
        plan,
        syntax,
        order,
        damage,
    }
}

/// Derives the motion of a parsed picture. `source` gives the motion of earlier pictures.
pub(crate) fn derive(
    parsed: Parsed,
    source: impl Fn(u64) -> Option<Arc<Motion>>,
    pool: &Pool,
) -> Picture {
    let mut motion = pool.take_motion();
    let Parsed {
        plan,
        syntax,
        order,
        mut damage,
    } = parsed;
    let sps = &plan.info.sps;
    motion.prepare(sps.width, sps.height, sps.log2_ctb);
    let number = plan.info.decode_index;
    // The first segment of each slice holds its header.
    let firsts: Vec<&SegmentPlan> = plan
        .segments
        .iter()
        .filter(|s| !s.header.dependent)
        .collect();
    let collocated: Vec<Option<(Arc<Motion>, i32)>> = firsts
        .iter()
        .map(|segment| {
            let reference = plan.collocated(segment)?;
            let usable =
                |m: &Arc<Motion>| !m.damaged && (m.w4(), m.h4()) == (motion.w4(), motion.h4());
            let found = reference.picture.and_then(&source).filter(usable);
            if found.is_none() {
                let error = Error::lost_reference("the co-located picture");
                damage.get_or_insert(error.in_picture(number));
            }
            found.map(|m| (m, reference.poc))
        })
        .collect();
    let slices: Vec<SliceMotion> = firsts
        .iter()
        .zip(&collocated)
        .map(|(segment, collocated)| {
            let refs = &plan.lists[segment.slice as usize];
            SliceMotion {
                header: &segment.header,
                refs,
                collocated: collocated
                    .as_ref()
                    .map(|(motion, poc)| Collocated { motion, poc: *poc }),
                poc: plan.info.poc,
                log2_ctb: sps.log2_ctb,
                log2_parallel_merge_level: plan.pps.log2_parallel_merge_level,
                width: sps.width as i32,
                height: sps.height as i32,
                no_backward_pred: refs.iter().flatten().all(|r| r.poc <= plan.info.poc),
            }
        })
        .collect();
    motion.ctb_slice.clone_from(&syntax.ctb_slice);
    derive_motion(&syntax, &slices, &order, &mut motion);
    motion.stats = syntax.stats;
    drop(slices);
    pool.put_syntax(syntax);
    motion.slice_refs = plan.lists;
    motion.damaged = damage.is_some();
    Picture {
        info: plan.info,
        motion: Arc::new(motion),
        damage,
    }
}

/// A picture of I slices alone, whose slice data is not read.
pub(crate) fn without_motion(plan: PicturePlan, mut motion: Motion) -> Picture {
    let sps = &plan.info.sps;
    motion.prepare(sps.width, sps.height, sps.log2_ctb);
    Picture {
        info: plan.info,
        motion: Arc::new(motion),
        damage: None,
    }
}
