//! Macroblock syntax elements in Exp-Golomb codes (clauses 7.3.5 and 9.1).

use crate::bits::BitReader;
use crate::cavlc_residual;
use crate::context::Context;
use crate::entropy::{Entropy, Fault};
use crate::slice::SliceHeader;
use crate::tables::cavlc::{CBP_CHROMA, CBP_NO_CHROMA};

/// CAVLC state of a slice.
pub(crate) struct Cavlc<'a> {
    pub bits: BitReader<'a>,
}

impl<'a> Cavlc<'a> {
    /// Starts at the slice data of `rbsp`.
    pub fn new(rbsp: &'a [u8], header: &SliceHeader) -> Self {
        Cavlc {
            bits: BitReader::new(rbsp).at(header.data_bit),
        }
    }
}

impl Entropy for Cavlc<'_> {
    const CABAC: bool = false;

    #[inline(always)]
    fn mb_type(&mut self, _cx: &Context) -> u32 {
        self.bits.get_ue()
    }

    #[inline(always)]
    fn sub_mb_type(&mut self, _b_slice: bool) -> u32 {
        self.bits.get_ue()
    }

    #[inline(always)]
    fn ref_idx(&mut self, _inc: usize, max: u32) -> Result<i8, Fault> {
        // te(v): one inverted bit where only two values are possible.
        let value = if max == 1 {
            1 - self.bits.get(1)
        } else {
            self.bits.get_ue()
        };
        if value > max {
            return Err("ref_idx_lX");
        }
        Ok(value as i8)
    }

    #[inline(always)]
    fn mvd(&mut self, _sums: [u32; 2]) -> Result<[i32; 2], Fault> {
        let x = self.bits.get_se();
        Ok([x, self.bits.get_se()])
    }

    fn transform_size_8x8_flag(&mut self, _cx: &Context) -> bool {
        self.bits.get(1) == 1
    }

    #[inline(always)]
    fn coded_block_pattern(&mut self, cx: &Context, intra: bool) -> Result<u8, Fault> {
        let code = self.bits.get_ue() as usize;
        let table: &[[u8; 2]] = if matches!(cx.chroma_array_type, 1 | 2) {
            &CBP_CHROMA
        } else {
            &CBP_NO_CHROMA
        };
        let row = table.get(code).ok_or("coded_block_pattern")?;
        Ok(row[!intra as usize])
    }

    fn intra_pred_modes(&mut self, count: usize) {
        for _ in 0..count {
            if self.bits.get(1) == 0 {
                self.bits.skip(3);
            }
        }
    }

    fn intra_chroma_pred_mode(&mut self, _cx: &Context) -> Result<bool, Fault> {
        match self.bits.get_ue() {
            mode @ 0..=3 => Ok(mode != 0),
            _ => Err("intra_chroma_pred_mode"),
        }
    }

    #[inline(always)]
    fn mb_qp_delta(&mut self) -> Result<(), Fault> {
        match self.bits.get_se() {
            -90..=90 => Ok(()),
            _ => Err("mb_qp_delta"),
        }
    }

    #[inline(always)]
    fn no_qp_delta(&mut self) {}

    #[inline(always)]
    fn residual(&mut self, cx: &mut Context, _intra: bool, intra16x16: bool) -> Result<(), Fault> {
        cavlc_residual::residual(&mut self.bits, cx, intra16x16)
    }

    fn pcm(&mut self, bits: usize) -> Result<(), Fault> {
        let aligned = self.bits.position().div_ceil(8) * 8;
        self.bits = self.bits.clone().at(aligned + bits);
        if self.bits.overrun() {
            return Err("pcm_sample_luma");
        }
        Ok(())
    }

    #[inline(always)]
    fn overrun(&self) -> bool {
        self.bits.overrun()
    }
}
