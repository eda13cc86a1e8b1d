//! What macroblock parsing asks of the two entropy codings.

use crate::context::Context;

/// A fault inside a macroblock: the name of the syntax element.
pub(crate) type Fault = &'static str;

/// Reads macroblock syntax; CABAC and CAVLC implement it.
pub(crate) trait Entropy {
    /// Whether contexts depend on |mvd| and reference indices of neighbours.
    const CABAC: bool;

    /// mb_type as numbered for the slice type (tables 7-11, 7-13 and 7-14).
    fn mb_type(&mut self, cx: &Context) -> u32;
    /// sub_mb_type (tables 7-17 and 7-18).
    fn sub_mb_type(&mut self, b_slice: bool) -> u32;
    /// ref_idx_lX, at most `max`; `inc` is ctxIdxInc of its first bin.
    fn ref_idx(&mut self, inc: usize, max: u32) -> Result<i8, Fault>;
    /// mvd_lX; `sums` are absMvdComp sums of the neighbours.
    fn mvd(&mut self, sums: [u32; 2]) -> Result<[i32; 2], Fault>;
    fn transform_size_8x8_flag(&mut self, cx: &Context) -> bool;
    /// coded_block_pattern: luma in bits 0 to 3, chroma above.
    fn coded_block_pattern(&mut self, cx: &Context, intra: bool) -> Result<u8, Fault>;
    /// prev_intraNxN_pred_mode_flag and rem_intraNxN_pred_mode of `count` blocks.
    fn intra_pred_modes(&mut self, count: usize);
    /// intra_chroma_pred_mode; whether it is not 0.
    fn intra_chroma_pred_mode(&mut self, cx: &Context) -> Result<bool, Fault>;
    fn mb_qp_delta(&mut self) -> Result<(), Fault>;
    /// Tells that a macroblock carries no mb_qp_delta.
    fn no_qp_delta(&mut self);
    /// residual(); leaves coded block flags or coefficient counts in the context.
    fn residual(&mut self, cx: &mut Context, intra: bool, intra16x16: bool) -> Result<(), Fault>;
    /// Skips the samples of I_PCM, `bits` in all.
    fn pcm(&mut self, bits: usize) -> Result<(), Fault>;
    /// Whether syntax was read beyond the end of the slice.
    fn overrun(&self) -> bool;
}
