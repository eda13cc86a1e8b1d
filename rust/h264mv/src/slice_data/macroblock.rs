//! macroblock_layer(): types, intra and skipped macroblocks (clause 7.3.5).

use bitstream::Malformed;

use crate::entropy::EntropyDecoder;
use crate::motion::context::MbContext;
use crate::motion::macroblock_info::{flag, MbHead, SKIPPED};
use crate::syntax::slice_header::SliceType;
use bitstream::Result;

impl MbContext<'_> {
    /// Parses the current macroblock, which is not skipped.
    #[inline(always)]
    pub fn macroblock<E: EntropyDecoder, const MBAFF: bool>(
        &mut self,
        entropy: &mut E,
    ) -> Result<()> {
        self.cur = MbHead::BLANK;
        self.info[self.slot].mvd = [[[0; 2]; 8]; 2];
        if MBAFF && self.field {
            self.cur.flags = flag::FIELD;
        }
        let mb_type = entropy.mb_type(self);
        let first_intra_type = match self.slice_type {
            SliceType::I => 0,
            SliceType::P => 5,
            SliceType::B => 23,
        };
        if mb_type >= first_intra_type {
            self.intra::<E>(entropy, mb_type - first_intra_type)?;
        } else {
            self.inter::<E, MBAFF>(entropy, mb_type)?;
        }
        self.info[self.slot].head = self.cur;
        Ok(())
    }

    fn intra<E: EntropyDecoder>(&mut self, entropy: &mut E, mb_type: u32) -> Result<(), Malformed> {
        self.clear_motion();
        self.stats.intra += 1;
        self.cur.flags |= flag::INTRA;
        let has_chroma = matches!(self.chroma_array_type, 1 | 2);
        match mb_type {
            0 => self.intra_nxn(entropy, has_chroma),
            1..=24 => {
                let kind = mb_type - 1;
                let chroma = (kind / 4 % 3) as u8;
                self.cur.cbp = chroma << 4 | if kind >= 12 { 15 } else { 0 };
                if has_chroma && entropy.intra_chroma_pred_mode(self)? {
                    self.cur.flags |= flag::CHROMA_MODE;
                }
                entropy.mb_qp_delta()?;
                entropy.residual(self, true, true)
            }
            25 => self.pcm(entropy),
            _ => Err(Malformed("mb_type")),
        }
    }

    fn intra_nxn<E: EntropyDecoder>(
        &mut self,
        entropy: &mut E,
        has_chroma: bool,
    ) -> Result<(), Malformed> {
        self.cur.flags |= flag::I_NXN;
        if self.transform_8x8_mode_flag && entropy.transform_size_8x8_flag(self) {
            self.cur.flags |= flag::T8X8;
        }
        entropy.intra_pred_modes(if self.cur.has(flag::T8X8) { 4 } else { 16 });
        if has_chroma && entropy.intra_chroma_pred_mode(self)? {
            self.cur.flags |= flag::CHROMA_MODE;
        }
        self.cur.cbp = entropy.coded_block_pattern(self, true)?;
        self.coded_residual(entropy, true)
    }

    fn pcm<E: EntropyDecoder>(&mut self, entropy: &mut E) -> Result<(), Malformed> {
        let chroma = match self.chroma_array_type {
            0 => 0,
            1 => 128,
            2 => 256,
            _ => 512,
        };
        let bits = 256 * self.bit_depth[0] as usize + chroma * self.bit_depth[1] as usize;
        entropy.pcm(bits)?;
        entropy.no_qp_delta();
        self.stats.pcm += 1;
        self.cur.flags |= flag::PCM;
        self.cur.cbp = 0x2f;
        self.cur.dc = 7;
        self.cur.cbf = [0xffff; 3];
        if !E::CABAC {
            self.counts[self.slot] = [16; 48];
        }
        Ok(())
    }

    /// mb_qp_delta and residual(), if coded_block_pattern is not 0.
    #[inline(always)]
    pub(crate) fn coded_residual<E: EntropyDecoder>(
        &mut self,
        entropy: &mut E,
        intra: bool,
    ) -> Result<(), Malformed> {
        if self.cur.cbp != 0 {
            entropy.mb_qp_delta()?;
            return entropy.residual(self, intra, false);
        }
        entropy.no_qp_delta();
        if !E::CABAC {
            self.counts[self.slot] = [0; 48];
        }
        Ok(())
    }

    /// Derives the motion of P_Skip or B_Skip for the current macroblock.
    #[inline(always)]
    pub fn skip<E: EntropyDecoder, const MBAFF: bool>(&mut self, entropy: &mut E) -> Result<()> {
        let b_slice = self.slice_type == SliceType::B;
        if b_slice {
            self.predict_direct::<MBAFF>(15)?;
        } else {
            self.predict_p_skip::<MBAFF>();
        }
        let field = MBAFF && self.field;
        self.info[self.slot] = SKIPPED[b_slice as usize * 2 + field as usize];
        entropy.no_qp_delta();
        if !E::CABAC {
            self.counts[self.slot] = [0; 48];
        }
        self.stats.skipped += 1;
        Ok(())
    }
}
