//! Macroblock syntax elements in CAVLC: Exp-Golomb codes (clauses 7.3.5 and 9.1).

mod codes;
mod lookup;
mod residual;

use bitstream::{BitReader, Malformed};

use self::codes::{CBP_CHROMA, CBP_NO_CHROMA};
use crate::entropy::EntropyDecoder;
use crate::motion::context::MbContext;
use crate::syntax::slice_header::SliceHeader;

/// CAVLC state of a slice.
pub(crate) struct CavlcDecoder<'a> {
    pub bits: BitReader<'a>,
}

impl<'a> CavlcDecoder<'a> {
    /// Starts at the slice data of `rbsp`.
    pub fn new(rbsp: &'a [u8], header: &SliceHeader) -> Self {
        CavlcDecoder {
            bits: BitReader::new(rbsp).at(header.data_bit),
        }
    }
}

impl EntropyDecoder for CavlcDecoder<'_> {
    const CABAC: bool = false;

    #[inline(always)]
    fn mb_type(&mut self, _cx: &MbContext) -> u32 {
        self.bits.get_ue()
    }

    #[inline(always)]
    fn sub_mb_type(&mut self, _b_slice: bool) -> u32 {
        self.bits.get_ue()
    }

    #[inline(always)]
    fn ref_idx(&mut self, _inc: usize, max: u32) -> Result<i8, Malformed> {
        // te(v): one inverted bit if only two values are possible.
        let value = if max == 1 {
            1 - self.bits.get(1)
        } else {
            self.bits.get_ue()
        };
        if value > max {
            return Err(Malformed("ref_idx_lX"));
        }
        Ok(value as i8)
    }

    #[inline(always)]
    fn mvd(&mut self, _sums: [u32; 2]) -> Result<[i32; 2], Malformed> {
        let x = self.bits.get_se();
        Ok([x, self.bits.get_se()])
    }

    fn transform_size_8x8_flag(&mut self, _cx: &MbContext) -> bool {
        self.bits.get(1) == 1
    }

    #[inline(always)]
    fn coded_block_pattern(&mut self, cx: &MbContext, intra: bool) -> Result<u8, Malformed> {
        let code = self.bits.get_ue() as usize;
        let table: &[[u8; 2]] = if matches!(cx.chroma_array_type, 1 | 2) {
            &CBP_CHROMA
        } else {
            &CBP_NO_CHROMA
        };
        let row = table.get(code).ok_or(Malformed("coded_block_pattern"))?;
        Ok(row[!intra as usize])
    }

    fn intra_pred_modes(&mut self, count: usize) {
        for _ in 0..count {
            if self.bits.get(1) == 0 {
                self.bits.skip(3);
            }
        }
    }

    fn intra_chroma_pred_mode(&mut self, _cx: &MbContext) -> Result<bool, Malformed> {
        match self.bits.get_ue() {
            mode @ 0..=3 => Ok(mode != 0),
            _ => Err(Malformed("intra_chroma_pred_mode")),
        }
    }

    #[inline(always)]
    fn mb_qp_delta(&mut self) -> Result<(), Malformed> {
        match self.bits.get_se() {
            -90..=90 => Ok(()),
            _ => Err(Malformed("mb_qp_delta")),
        }
    }

    #[inline(always)]
    fn no_qp_delta(&mut self) {}

    #[inline(always)]
    fn residual(
        &mut self,
        cx: &mut MbContext,
        _intra: bool,
        intra16x16: bool,
    ) -> Result<(), Malformed> {
        residual::residual(&mut self.bits, cx, intra16x16)
    }

    fn pcm(&mut self, bits: usize) -> Result<(), Malformed> {
        let aligned = self.bits.position().div_ceil(8) * 8;
        self.bits = self.bits.clone().at(aligned + bits);
        if self.bits.overrun() {
            return Err(Malformed("pcm_sample_luma"));
        }
        Ok(())
    }

    #[inline(always)]
    fn overrun(&self) -> bool {
        self.bits.overrun()
    }
}
