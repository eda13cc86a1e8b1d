//! Macroblock syntax elements in CABAC: binarisation and context selection (clauses 9.3.2 and 9.3.3.1).

mod contexts;
mod residual;
mod residual_block;
mod tables;

use bitstream::cabac::Engine;
use bitstream::Malformed;

use self::contexts::{BlockContexts, Contexts, InitialContexts};
use crate::entropy::EntropyDecoder;
use crate::motion::context::MbContext;
use crate::motion::macroblock_info::{flag, MbInfo};
use crate::syntax::slice_header::{SliceHeader, SliceType};

/// CABAC state of a slice.
pub(crate) struct CabacDecoder<'a> {
    engine: Engine<'a>,
    contexts: Contexts,
    blocks: BlockContexts,
    data: &'a [u8],
    last_qp_delta: bool,
}

impl<'a> CabacDecoder<'a> {
    /// Starts at the slice data of `rbsp`, after cabac_alignment_one_bit.
    pub fn new(rbsp: &'a [u8], header: &SliceHeader) -> Self {
        let initial = InitialContexts::of(header);
        CabacDecoder {
            engine: Engine::new(rbsp, header.data_bit.div_ceil(8)),
            blocks: initial.blocks.clone(),
            contexts: initial.contexts,
            data: rbsp,
            last_qp_delta: false,
        }
    }

    #[inline(always)]
    fn bin(&mut self, ctx: usize) -> u32 {
        self.engine.decision(&mut self.contexts[ctx & 1023])
    }

    /// mb_skip_flag of the current macroblock.
    #[inline(always)]
    pub fn mb_skip_flag(&mut self, cx: &MbContext) -> bool {
        let base = if cx.slice_type == SliceType::B {
            24
        } else {
            11
        };
        let inc = cond_terms(cx, |m| !m.has(flag::SKIP));
        self.bin(base + inc) == 1
    }

    /// mb_field_decoding_flag.
    pub fn mb_field_decoding_flag(&mut self, cx: &MbContext) -> bool {
        let inc = cx.pairs[..2]
            .iter()
            .filter(|p| p.available && p.field)
            .count();
        self.bin(70 + inc) == 1
    }

    /// end_of_slice_flag.
    #[inline(always)]
    pub fn end_of_slice_flag(&mut self) -> bool {
        self.engine.terminate()
    }

    /// Intra mb_type after its prefix; `base` is the context of the first bin.
    fn intra_mb_type(&mut self, base: usize, inc: usize, in_i_slice: bool) -> u32 {
        if self.bin(base + inc) == 0 {
            return 0;
        }
        if self.engine.terminate() {
            return 25;
        }
        // In P and B slices, more of the bins b2 to b6 share a context (table 9-39).
        let offset = if in_i_slice {
            [3, 4, 5, 6, 7]
        } else {
            [1, 2, 2, 3, 3]
        };
        let luma = self.bin(base + offset[0]) * 12;
        let mut chroma = 0;
        if self.bin(base + offset[1]) == 1 {
            chroma = 4 + 4 * self.bin(base + offset[2]);
        }
        let mode = 2 * self.bin(base + offset[3]);
        1 + luma + chroma + mode + self.bin(base + offset[4])
    }

    /// mb_type in P slices.
    fn p_mb_type(&mut self) -> u32 {
        if self.bin(14) == 1 {
            return 5 + self.intra_mb_type(17, 0, false);
        }
        if self.bin(15) == 0 {
            3 * self.bin(16)
        } else {
            2 - self.bin(17)
        }
    }

    /// mb_type in B slices.
    fn b_mb_type(&mut self, cx: &MbContext) -> u32 {
        let inc = cond_terms(cx, |m| !m.has(flag::DIRECT));
        if self.bin(27 + inc) == 0 {
            return 0;
        }
        if self.bin(27 + 3) == 0 {
            return 1 + self.bin(27 + 5);
        }
        let mut bits = self.bin(27 + 4) << 3;
        for shift in (0..3).rev() {
            bits |= self.bin(27 + 5) << shift;
        }
        match bits {
            0..=7 => bits + 3,
            13 => 23 + self.intra_mb_type(32, 0, false),
            14 => 11,
            15 => 22,
            _ => (bits << 1 | self.bin(27 + 5)) - 4,
        }
    }

    /// One component of mvd_lX: UEG3 with uCoff 9.
    #[inline(always)]
    fn mvd_component(&mut self, base: usize, sum: u32) -> Result<i32, Malformed> {
        let inc = (sum > 2) as usize + (sum > 32) as usize;
        if self.bin(base + inc) == 0 {
            return Ok(0);
        }
        let mut value = 1;
        let mut ctx = 3;
        while value < 9 && self.bin(base + ctx) == 1 {
            value += 1;
            ctx = (ctx + 1).min(6);
        }
        if value >= 9 {
            let mut k = 3;
            while self.engine.bypass() == 1 {
                value += 1 << k;
                k += 1;
                if k > 20 {
                    return Err(Malformed("mvd_lX"));
                }
            }
            while k > 0 {
                k -= 1;
                value += (self.engine.bypass() << k) as i32;
            }
        }
        Ok(if self.engine.bypass() == 1 {
            -value
        } else {
            value
        })
    }
}

/// condTermFlagA + condTermFlagB.
#[inline(always)]
fn cond_terms(cx: &MbContext, test: impl Fn(&MbInfo) -> bool) -> usize {
    test(&cx.info[cx.a]) as usize + test(&cx.info[cx.b]) as usize
}

/// 1 if the bit of CodedBlockPatternLuma left of 8x8 row `y` of the current macroblock is 0.
#[inline(always)]
fn left_uncoded(cx: &MbContext, y: usize) -> u32 {
    if cx.pairs[0].available {
        let (mb, row) = cx.left::<true>(y * 8, 16);
        return !(cx.info[mb].cbp as u32) >> (row / 8 * 2 + 1) & 1;
    }
    !(cx.info[cx.a].cbp as u32) >> (y * 2 + 1) & 1
}

impl EntropyDecoder for CabacDecoder<'_> {
    const CABAC: bool = true;

    #[inline(always)]
    fn mb_type(&mut self, cx: &MbContext) -> u32 {
        match cx.slice_type {
            SliceType::I => {
                let inc = cond_terms(cx, |m| !m.has(flag::I_NXN));
                self.intra_mb_type(3, inc, true)
            }
            SliceType::P => self.p_mb_type(),
            SliceType::B => self.b_mb_type(cx),
        }
    }

    fn sub_mb_type(&mut self, b_slice: bool) -> u32 {
        if !b_slice {
            if self.bin(21) == 1 {
                return 0;
            }
            if self.bin(22) == 0 {
                return 1;
            }
            return 3 - self.bin(23);
        }
        if self.bin(36) == 0 {
            return 0;
        }
        if self.bin(37) == 0 {
            return 1 + self.bin(39);
        }
        let mut kind = 3;
        if self.bin(38) == 1 {
            if self.bin(39) == 1 {
                return 11 + self.bin(39);
            }
            kind += 4;
        }
        kind += 2 * self.bin(39);
        kind + self.bin(39)
    }

    #[inline(always)]
    fn ref_idx(&mut self, inc: usize, max: u32) -> Result<i8, Malformed> {
        let mut value = 0;
        let mut ctx = inc;
        while self.bin(54 + ctx) == 1 {
            value += 1;
            ctx = if ctx < 4 { 4 } else { 5 };
            if value > max {
                return Err(Malformed("ref_idx_lX"));
            }
        }
        Ok(value as i8)
    }

    #[inline(always)]
    fn mvd(&mut self, sums: [u32; 2]) -> Result<[i32; 2], Malformed> {
        let x = self.mvd_component(40, sums[0])?;
        Ok([x, self.mvd_component(47, sums[1])?])
    }

    fn transform_size_8x8_flag(&mut self, cx: &MbContext) -> bool {
        let inc = cond_terms(cx, |m| m.has(flag::T8X8));
        self.bin(399 + inc) == 1
    }

    #[inline(always)]
    fn coded_block_pattern(&mut self, cx: &MbContext, _intra: bool) -> Result<u8, Malformed> {
        let above = !(cx.info[cx.b].cbp as u32);
        let (above0, above1) = (above >> 2 & 1, above >> 3 & 1);
        let inc0 = left_uncoded(cx, 0) + 2 * above0;
        let b0 = self.bin(73 + inc0 as usize);
        let b1 = self.bin(73 + ((b0 ^ 1) + 2 * above1) as usize);
        let inc2 = left_uncoded(cx, 1) + 2 * (b0 ^ 1);
        let b2 = self.bin(73 + inc2 as usize);
        let b3 = self.bin(73 + ((b2 ^ 1) + 2 * (b1 ^ 1)) as usize);
        let luma = b0 | b1 << 1 | b2 << 2 | b3 << 3;
        if !matches!(cx.chroma_array_type, 1 | 2) {
            return Ok(luma as u8);
        }
        let (a, b) = (cx.info[cx.a].cbp >> 4, cx.info[cx.b].cbp >> 4);
        let inc = (a != 0) as usize + 2 * (b != 0) as usize;
        if self.bin(77 + inc) == 0 {
            return Ok(luma as u8);
        }
        let inc = (a == 2) as usize + 2 * (b == 2) as usize;
        let chroma = 1 + self.bin(77 + 4 + inc);
        Ok((luma | chroma << 4) as u8)
    }

    fn intra_pred_modes(&mut self, count: usize) {
        for _ in 0..count {
            if self.bin(68) == 0 {
                self.bin(69);
                self.bin(69);
                self.bin(69);
            }
        }
    }

    fn intra_chroma_pred_mode(&mut self, cx: &MbContext) -> Result<bool, Malformed> {
        let inc = cond_terms(cx, |m| m.has(flag::CHROMA_MODE));
        if self.bin(64 + inc) == 0 {
            return Ok(false);
        }
        if self.bin(64 + 3) == 1 {
            self.bin(64 + 3);
        }
        Ok(true)
    }

    #[inline(always)]
    fn mb_qp_delta(&mut self) -> Result<(), Malformed> {
        let first = self.bin(60 + self.last_qp_delta as usize);
        self.last_qp_delta = first == 1;
        if first == 1 {
            let mut count = 0;
            let mut ctx = 62;
            while self.bin(ctx) == 1 {
                ctx = 63;
                count += 1;
                if count > 180 {
                    return Err(Malformed("mb_qp_delta"));
                }
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn no_qp_delta(&mut self) {
        self.last_qp_delta = false;
    }

    #[inline(never)]
    fn residual(
        &mut self,
        cx: &mut MbContext,
        intra: bool,
        intra16x16: bool,
    ) -> Result<(), Malformed> {
        residual::residual(&mut self.engine, &mut self.blocks, cx, intra, intra16x16)
    }

    fn pcm(&mut self, bits: usize) -> Result<(), Malformed> {
        let next = self.engine.byte_after_terminate() + bits.div_ceil(8);
        if next > self.data.len() {
            return Err(Malformed("pcm_sample_luma"));
        }
        self.engine = Engine::new(self.data, next);
        Ok(())
    }

    #[inline(always)]
    fn overrun(&self) -> bool {
        self.engine.overrun()
    }
}
