//! Motion of a picture from its prediction units.

use super::field::{Motion, NO_POC};
use super::neighbours::{CtbNeighbours, Surroundings};
use crate::refs::RefPic;
use crate::slice_data::{PictureSyntax, NO_MERGE, NO_SLICE};
use crate::syntax::slice::SliceHeader;
use crate::syntax::tiles::CtbOrder;

/// A co-located picture.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Collocated<'a> {
    pub motion: &'a Motion,
    pub poc: i32,
}

/// What the motion of a slice depends on besides its neighbours.
#[derive(Debug)]
pub(crate) struct SliceMotion<'a> {
    pub header: &'a SliceHeader,
    pub refs: &'a [Vec<RefPic>; 2],
    pub collocated: Option<Collocated<'a>>,
    /// PicOrderCntVal of the current picture.
    pub poc: i32,
    pub log2_ctb: u32,
    pub log2_parallel_merge_level: u32,
    pub width: i32,
    pub height: i32,
    /// No reference picture follows the current one in output order (NoBackwardPredFlag).
    pub no_backward_pred: bool,
}

/// Derives the motion of all prediction units of `syntax`; `slices` are numbered as in `ctb_slice`.
pub(crate) fn derive_motion(
    syntax: &PictureSyntax,
    slices: &[SliceMotion],
    order: &CtbOrder,
    motion: &mut Motion,
) {
    let mut current = usize::MAX;
    let mut ctbs = CtbNeighbours::default();
    for unit in &syntax.units {
        let ctb = motion.ctb_at(unit.x as usize, unit.y as usize);
        if ctb != current {
            current = ctb;
            ctbs = neighbours(&syntax.ctb_slice, order, ctb);
        }
        let Some(slice) = slices.get(syntax.ctb_slice[ctb] as usize) else {
            continue;
        };
        let around = Surroundings {
            motion,
            width: slice.width,
            height: slice.height,
            log2_ctb: slice.log2_ctb,
            ctbs,
        };
        let block = if unit.merge_idx == NO_MERGE {
            slice.predicted(&around, unit)
        } else {
            slice.merge(&around, unit)
        };
        let place = (
            unit.x as usize,
            unit.y as usize,
            unit.w as usize,
            unit.h as usize,
        );
        let poc = |list: usize| {
            let picture = slice.refs[list].get(block.ref_idx[list] as usize);
            picture.map_or(NO_POC, |picture| picture.poc)
        };
        motion.fill(place, block, [poc(0), poc(1)]);
    }
}

/// Availability of the coding tree blocks around one (clause 6.4.1). Those of the same slice and tile
/// at lower positions in decoding order are decoded.
fn neighbours(ctb_slice: &[u16], order: &CtbOrder, ctb: usize) -> CtbNeighbours {
    let width = order.width;
    let (column, row) = (ctb % width, ctb / width);
    let is_available = |rs: usize| {
        ctb_slice[rs] != NO_SLICE
            && ctb_slice[rs] == ctb_slice[ctb]
            && order.tile(rs) == order.tile(ctb)
    };
    CtbNeighbours {
        left: column > 0 && is_available(ctb - 1),
        above: row > 0 && is_available(ctb - width),
        above_left: row > 0 && column > 0 && is_available(ctb - width - 1),
        above_right: row > 0 && column + 1 < width && is_available(ctb - width + 1),
    }
}
