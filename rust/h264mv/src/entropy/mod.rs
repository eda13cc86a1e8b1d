//! Entropy coding of macroblock syntax: one trait, implemented by CABAC and CAVLC.
//!
//! - [`cabac`]: binarisation and context selection over [`bitstream::cabac`]; its residual blocks and
//!   context tables.
//! - [`cavlc`]: Exp-Golomb codes over [`bitstream::BitReader`]; its residual blocks and code tables.
//!
//! Coefficients are read and dropped; only their counts and flags select later contexts.

mod cabac;
mod cavlc;

use bitstream::Malformed;

use crate::motion::context::MbContext;

pub(crate) use cabac::CabacDecoder;
pub(crate) use cavlc::CavlcDecoder;

/// Reader of the syntax elements of a macroblock.
pub(crate) trait EntropyDecoder {
    /// Whether contexts depend on mvd_lX and reference indices of neighbours.
    const CABAC: bool;

    /// mb_type as numbered for the slice type (tables 7-11, 7-13 and 7-14).
    fn mb_type(&mut self, cx: &MbContext) -> u32;
    /// sub_mb_type (tables 7-17 and 7-18).
    fn sub_mb_type(&mut self, b_slice: bool) -> u32;
    /// ref_idx_lX, at most `max`; `inc` is ctxIdxInc of its first bin.
    fn ref_idx(&mut self, inc: usize, max: u32) -> Result<i8, Malformed>;
    /// mvd_lX; `sums` are the values of absMvdComp of the neighbours, added.
    fn mvd(&mut self, sums: [u32; 2]) -> Result<[i32; 2], Malformed>;
    fn transform_size_8x8_flag(&mut self, cx: &MbContext) -> bool;
    /// coded_block_pattern: luma in bits 0 to 3, chroma above.
    fn coded_block_pattern(&mut self, cx: &MbContext, intra: bool) -> Result<u8, Malformed>;
    /// prev_intraNxN_pred_mode_flag and rem_intraNxN_pred_mode of `count` blocks.
    fn intra_pred_modes(&mut self, count: usize);
    /// Whether intra_chroma_pred_mode is not 0.
    fn intra_chroma_pred_mode(&mut self, cx: &MbContext) -> Result<bool, Malformed>;
    fn mb_qp_delta(&mut self) -> Result<(), Malformed>;
    /// Called for macroblocks without mb_qp_delta.
    fn no_qp_delta(&mut self);
    /// residual(); sets the coded block flags or coefficient counts of the macroblock.
    fn residual(
        &mut self,
        cx: &mut MbContext,
        intra: bool,
        intra16x16: bool,
    ) -> Result<(), Malformed>;
    /// Skips the samples of I_PCM, `bits` in total.
    fn pcm(&mut self, bits: usize) -> Result<(), Malformed>;
    /// Whether bits beyond the end of the slice were read.
    fn overrun(&self) -> bool;
}
