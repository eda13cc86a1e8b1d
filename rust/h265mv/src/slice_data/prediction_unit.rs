//! prediction_unit() and mvd_coding() (clauses 7.3.8.6 and 7.3.8.9).

use super::{PartMode, PredictionUnit, SegmentParser, NO_MERGE};
use crate::entropy::offset;
use crate::motion::field::Mv;
use crate::syntax::slice::SliceType;
use bitstream::{Error, Result};

impl SegmentParser<'_, '_> {
    /// The prediction unit of a skipped coding unit.
    pub(super) fn skipped_prediction_unit(&mut self, x: usize, y: usize, log2_cb: u32) {
        let size = 1u8 << log2_cb;
        let merge_idx = self.merge_idx();
        self.out.units.push(PredictionUnit {
            x: x as u16,
            y: y as u16,
            w: size,
            h: size,
            log2_cb: log2_cb as u8,
            part_mode: PartMode::P2Nx2N,
            part_idx: 0,
            merge_idx,
            mvp_flag: [false; 2],
            ref_idx: [-1; 2],
            mvd: [[0; 2]; 2],
        });
    }

    /// Gives merge_flag. `cb` is (log2CbSize, CtDepth).
    pub(super) fn prediction_unit(
        &mut self,
        (x, y): (usize, usize),
        (w, h): (usize, usize),
        (log2_cb, depth): (u32, u8),
        part_mode: PartMode,
        part_idx: usize,
    ) -> Result<bool> {
        let mut unit = PredictionUnit {
            x: x as u16,
            y: y as u16,
            w: w as u8,
            h: h as u8,
            log2_cb: log2_cb as u8,
            part_mode,
            part_idx: part_idx as u8,
            merge_idx: NO_MERGE,
            mvp_flag: [false; 2],
            ref_idx: [-1; 2],
            mvd: [[0; 2]; 2],
        };
        let merge = self.cabac.flag(offset::MERGE_FLAG);
        if merge {
            unit.merge_idx = self.merge_idx();
            self.out.stats.merged += (w * h / 16) as u32;
        } else {
            self.out.stats.amvp += (w * h / 16) as u32;
            let header = self.info.header;
            let uses = if header.slice_type == SliceType::B {
                self.inter_pred_idc(w + h, depth)
            } else {
                [true, false]
            };
            for list in 0..2 {
                if !uses[list] {
                    continue;
                }
                unit.ref_idx[list] = self.ref_idx(header.num_ref_idx_active[list]);
                if !(list == 1 && header.mvd_l1_zero && uses[0]) {
                    unit.mvd[list] = self.mvd_coding()?;
                }
                unit.mvp_flag[list] = self.cabac.flag(offset::MVP_FLAG);
            }
        }
        self.out.units.push(unit);
        Ok(merge)
    }

    fn merge_idx(&mut self) -> u8 {
        let most = self.info.header.max_num_merge_cand as u8 - 1;
        if most == 0 || !self.cabac.flag(offset::MERGE_IDX) {
            return 0;
        }
        let mut value = 1;
        while value < most && self.cabac.engine.bypass() != 0 {
            value += 1;
        }
        value
    }

    /// inter_pred_idc as the lists that are used.
    fn inter_pred_idc(&mut self, perimeter: usize, depth: u8) -> [bool; 2] {
        const SMALLEST: usize = 12; // 8x4 and 4x8 blocks are never bi-predicted
        let bi = perimeter != SMALLEST
            && self
                .cabac
                .flag(offset::INTER_PRED_IDC + depth.min(3) as usize);
        if bi {
            return [true, true];
        }
        let list1 = self.cabac.flag(offset::INTER_PRED_IDC + 4);
        [!list1, list1]
    }

    fn ref_idx(&mut self, active: u32) -> i8 {
        let most = active as i8 - 1;
        let mut value = 0;
        while value < most {
            let one = match value {
                0 | 1 => self.cabac.bin(offset::REF_IDX + value as usize),
                _ => self.cabac.engine.bypass(),
            };
            if one == 0 {
                break;
            }
            value += 1;
        }
        value
    }

    fn mvd_coding(&mut self) -> Result<Mv> {
        let greater0 = [(); 2].map(|()| self.cabac.flag(offset::ABS_MVD_GREATER0_FLAG));
        let greater1 =
            greater0.map(|present| present && self.cabac.flag(offset::ABS_MVD_GREATER1_FLAG + 1));
        let mut mvd = [0; 2];
        for axis in 0..2 {
            if !greater0[axis] {
                continue;
            }
            let mut magnitude = 1;
            if greater1[axis] {
                magnitude = self.cabac.exp_golomb(1).saturating_add(2);
            }
            let negative = self.cabac.engine.bypass() != 0;
            let limit = (1 << 15) - !negative as u32;
            if magnitude > limit {
                return Err(Error::malformed("abs_mvd_minus2"));
            }
            let magnitude = magnitude as i32;
            mvd[axis] = if negative { -magnitude } else { magnitude } as i16;
        }
        Ok(mvd)
    }
}
