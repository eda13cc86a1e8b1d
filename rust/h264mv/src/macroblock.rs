//! macroblock_layer(): types, intra macroblocks, skipped ones (clause 7.3.5).

use crate::context::Context;
use crate::entropy::{Entropy, Fault};
use crate::error::{Error, Result};
use crate::mbinfo::{flag, MbHead, SKIPPED};
use crate::slice::SliceType;

/// The error of a syntax element that holds no legal value.
pub(crate) fn fault(element: Fault) -> Error {
    Error::malformed(element)
}

impl Context<'_> {
    /// Parses the macroblock at the current position.
    #[inline(always)]
    pub fn macroblock<E: Entropy, const MBAFF: bool>(&mut self, e: &mut E) -> Result<()> {
        self.cur = MbHead::BLANK;
        self.info[self.slot].mvd = [[[0; 2]; 8]; 2];
        if MBAFF && self.field {
            self.cur.flags = flag::FIELD;
        }
        let mb_type = e.mb_type(self);
        let intra_from = match self.slice_type {
            SliceType::I => 0,
            SliceType::P => 5,
            SliceType::B => 23,
        };
        if mb_type >= intra_from {
            self.intra::<E>(e, mb_type - intra_from).map_err(fault)?;
        } else {
            self.inter::<E, MBAFF>(e, mb_type)?;
        }
        self.info[self.slot].head = self.cur;
        Ok(())
    }

    fn no_motion(&mut self) {
        for list in 0..self.lists {
            self.fill_16x16(list, -1, [0; 2]);
        }
    }

    fn intra<E: Entropy>(&mut self, e: &mut E, mb_type: u32) -> std::result::Result<(), Fault> {
        self.no_motion();
        self.stats.intra += 1;
        self.cur.flags |= flag::INTRA;
        let has_chroma = matches!(self.chroma_array_type, 1 | 2);
        match mb_type {
            0 => self.intra_nxn(e, has_chroma),
            1..=24 => {
                let kind = mb_type - 1;
                let chroma = (kind / 4 % 3) as u8;
                self.cur.cbp = chroma << 4 | if kind >= 12 { 15 } else { 0 };
                if has_chroma && e.intra_chroma_pred_mode(self)? {
                    self.cur.flags |= flag::CHROMA_MODE;
                }
                e.mb_qp_delta()?;
                e.residual(self, true, true)
            }
            25 => self.pcm(e),
            _ => Err("mb_type"),
        }
    }

    fn intra_nxn<E: Entropy>(
        &mut self,
        e: &mut E,
        has_chroma: bool,
    ) -> std::result::Result<(), Fault> {
        self.cur.flags |= flag::I_NXN;
        if self.transform_8x8_mode_flag && e.transform_size_8x8_flag(self) {
            self.cur.flags |= flag::T8X8;
        }
        e.intra_pred_modes(if self.cur.has(flag::T8X8) { 4 } else { 16 });
        if has_chroma && e.intra_chroma_pred_mode(self)? {
            self.cur.flags |= flag::CHROMA_MODE;
        }
        self.cur.cbp = e.coded_block_pattern(self, true)?;
        self.coded_residual(e, true)
    }

    fn pcm<E: Entropy>(&mut self, e: &mut E) -> std::result::Result<(), Fault> {
        let chroma = match self.chroma_array_type {
            0 => 0,
            1 => 128,
            2 => 256,
            _ => 512,
        };
        let bits = 256 * self.bit_depth[0] as usize + chroma * self.bit_depth[1] as usize;
        e.pcm(bits)?;
        e.no_qp_delta();
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

    /// mb_qp_delta and residual(), where the coded block pattern asks for them.
    #[inline(always)]
    pub(crate) fn coded_residual<E: Entropy>(
        &mut self,
        e: &mut E,
        intra: bool,
    ) -> std::result::Result<(), Fault> {
        if self.cur.cbp != 0 {
            e.mb_qp_delta()?;
            return e.residual(self, intra, false);
        }
        e.no_qp_delta();
        if !E::CABAC {
            self.counts[self.slot] = [0; 48];
        }
        Ok(())
    }

    /// P_Skip or B_Skip at the current position.
    #[inline(always)]
    pub fn skip<E: Entropy, const MBAFF: bool>(&mut self, e: &mut E) -> Result<()> {
        let b_slice = self.slice_type == SliceType::B;
        if b_slice {
            self.direct::<MBAFF>(15)?;
        } else {
            self.p_skip::<MBAFF>();
        }
        let field = MBAFF && self.field;
        self.info[self.slot] = SKIPPED[b_slice as usize * 2 + field as usize];
        e.no_qp_delta();
        if !E::CABAC {
            self.counts[self.slot] = [0; 48];
        }
        self.stats.skipped += 1;
        Ok(())
    }
}
