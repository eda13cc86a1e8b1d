//! slice_data(): macroblocks in order, their syntax, and the motion that follows from it.
//!
//! - [`walk`]: slice_data() for each entropy coding and MBAFF: macroblock order, skip runs, field pairs.
//! - [`macroblock`]: macroblock_layer(), intra and skipped macroblocks.
//! - [`inter_pred`]: partitions of inter macroblocks with their vectors: mb_pred() and sub_mb_pred().
//! - [`mvd`]: ref_idx_lX and mvd_lX with their contexts.

mod inter_pred;
mod macroblock;
mod mvd;
mod walk;

use crate::motion::context::MbContext;
use bitstream::Result;

/// Parses the slice data of `rbsp` and writes the motion of its macroblocks.
pub(crate) fn parse(
    cx: &mut MbContext,
    rbsp: &[u8],
    entropy_coding_mode_flag: bool,
    mbaff: bool,
) -> Result<()> {
    match (entropy_coding_mode_flag, mbaff) {
        (true, false) => walk::cabac(cx, rbsp),
        (false, false) => walk::cavlc(cx, rbsp),
        (true, true) => walk::cabac_mbaff(cx, rbsp),
        (false, true) => walk::cavlc_mbaff(cx, rbsp),
    }
}
