//! Inter macroblocks: partitions, their reference indices and vectors (clauses 7.3.5.1 and 7.3.5.2).

use crate::context::Context;
use crate::entropy::{Entropy, Fault};
use crate::error::Result;
use crate::macroblock::fault;
use crate::mbinfo::flag;
use crate::mvpred::Shape;
use crate::slice::SliceType;

/// Prediction lists of B_8x8 sub-macroblock types 1 to 12 (bit 0 list 0, bit 1 list 1), and their
/// shape: 0 8x8, 1 8x4, 2 4x8, 3 4x4 (table 7-18).
const B_SUB: [(u8, u8); 12] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (1, 1),
    (1, 2),
    (2, 1),
    (2, 2),
    (3, 1),
    (3, 2),
    (1, 3),
    (2, 3),
    (3, 3),
];

/// Prediction lists of both partitions of B types 4 and 5, 6 and 7, ... 20 and 21 (table 7-14).
const B_PAIR: [[u8; 2]; 9] = [
    [1, 1],
    [2, 2],
    [1, 2],
    [2, 1],
    [1, 3],
    [2, 3],
    [3, 1],
    [3, 2],
    [3, 3],
];

/// A sub-macroblock of P_8x8 or B_8x8.
#[derive(Debug, Clone, Copy, Default)]
struct Sub {
    lists: u8,
    shape: u8,
    direct: bool,
}

impl Context<'_> {
    #[inline(always)]
    pub(crate) fn inter<E: Entropy, const MBAFF: bool>(
        &mut self,
        e: &mut E,
        mb_type: u32,
    ) -> Result<()> {
        let b_slice = self.slice_type == SliceType::B;
        let mut small = false;
        match (b_slice, mb_type) {
            (true, 0) => {
                self.direct::<MBAFF>(15)?;
                self.cur.flags |= flag::DIRECT;
                self.cur.direct8 = 15;
                self.stats.direct += 1;
                small = !self.direct_8x8_inference_flag;
            }
            (true, 22) | (false, 3 | 4) => {
                small = self.partitions_8x8::<E, MBAFF>(e, mb_type == 4)?;
            }
            (_, 0) | (true, 1..=3) => {
                let lists = if b_slice { mb_type as u8 } else { 1 };
                self.partition_16x16::<E, MBAFF>(e, lists).map_err(fault)?;
            }
            (true, _) => {
                let lists = B_PAIR[(mb_type as usize - 4) / 2];
                self.partition_pair::<E, MBAFF>(e, mb_type & 1 == 1, lists)
                    .map_err(fault)?;
            }
            (false, _) => {
                self.partition_pair::<E, MBAFF>(e, mb_type == 2, [1, 1])
                    .map_err(fault)?;
            }
        }
        let cbp = e.coded_block_pattern(self, false).map_err(fault)?;
        self.cur.cbp = cbp;
        if cbp & 15 != 0
            && self.transform_8x8_mode_flag
            && !small
            && e.transform_size_8x8_flag(self)
        {
            self.cur.flags |= flag::T8X8;
        }
        self.coded_residual(e, false).map_err(fault)
    }

    /// Marks lists that no partition uses, and tells how many lists to look at.
    #[inline(always)]
    fn partition_16x16<E: Entropy, const MBAFF: bool>(
        &mut self,
        e: &mut E,
        lists: u8,
    ) -> std::result::Result<(), Fault> {
        self.stats.inter_16x16 += 1;
        let mut refs = [-1i8; 2];
        for list in 0..2 {
            if lists >> list & 1 == 1 {
                refs[list] = self.read_ref::<E, MBAFF>(e, list, 0, 0)?;
            }
        }
        for list in 0..self.lists {
            if refs[list] < 0 {
                self.fill_16x16(list, -1, [0; 2]);
                continue;
            }
            let mvp = self.predict::<MBAFF>(list, [0, 0, 4], refs[list], Shape::Median);
            let mvd = self.read_mvd::<E, MBAFF>(e, list, [0, 0, 4, 4])?;
            self.fill_16x16(list, refs[list], add(mvp, mvd));
        }
        Ok(())
    }

    /// 16x8 and 8x16 partitions.
    fn partition_pair<E: Entropy, const MBAFF: bool>(
        &mut self,
        e: &mut E,
        upright: bool,
        lists: [u8; 2],
    ) -> std::result::Result<(), Fault> {
        let areas = if upright {
            [[0, 0, 2, 4], [2, 0, 2, 4]]
        } else {
            [[0, 0, 4, 2], [0, 2, 4, 2]]
        };
        let shapes = if upright {
            self.stats.inter_8x16 += 1;
            [Shape::Left8x16, Shape::Right8x16]
        } else {
            self.stats.inter_16x8 += 1;
            [Shape::Upper16x8, Shape::Lower16x8]
        };
        let mut refs = [[-1i8; 2]; 2];
        for list in 0..self.lists {
            for part in 0..2 {
                if lists[part] >> list & 1 == 1 {
                    let [x, y, ..] = areas[part];
                    refs[list][part] = self.read_ref::<E, MBAFF>(e, list, x, y)?;
                }
                self.fill_ref(list, areas[part], refs[list][part]);
            }
        }
        for list in 0..self.lists {
            if E::CABAC {
                self.mvd[list] = [[0; 2]; 16];
            }
            for part in 0..2 {
                let [x, y, w, h] = areas[part];
                let ref_idx = refs[list][part];
                if ref_idx < 0 {
                    self.fill_mv(list, areas[part], [0; 2]);
                    continue;
                }
                let mvp = self.predict::<MBAFF>(list, [x, y, w], ref_idx, shapes[part]);
                let mvd = self.read_mvd::<E, MBAFF>(e, list, [x, y, w, h])?;
                self.fill_mv(list, areas[part], add(mvp, mvd));
            }
        }
        Ok(())
    }

    /// P_8x8, P_8x8ref0 and B_8x8; whether a partition is too small for the 8x8 transform.
    fn partitions_8x8<E: Entropy, const MBAFF: bool>(
        &mut self,
        e: &mut E,
        ref0: bool,
    ) -> Result<bool> {
        self.stats.inter_8x8 += 1;
        let subs = self.sub_types(e).map_err(fault)?;
        let direct = (0..4).fold(0, |mask, b| mask | (subs[b].direct as u8) << b);
        self.cur.direct8 = direct;
        let mut refs = [[-1i8; 4]; 2];
        // Partitions not yet parsed must not look as if they had an older picture's references.
        for list in 0..self.lists {
            self.fill_16x16(list, -1, [0; 2]);
        }
        if direct != 0 {
            self.direct::<MBAFF>(direct)?;
        }
        for list in 0..self.lists {
            for b8 in 0..4 {
                if subs[b8].lists >> list & 1 == 0 {
                    continue;
                }
                let (x, y) = ((b8 & 1) * 2, (b8 >> 1) * 2);
                let ref_idx = if ref0 {
                    0
                } else {
                    self.read_ref::<E, MBAFF>(e, list, x, y).map_err(fault)?
                };
                refs[list][b8] = ref_idx;
                self.fill_ref(list, [x, y, 2, 2], ref_idx);
            }
        }
        for list in 0..self.lists {
            if E::CABAC {
                self.mvd[list] = [[0; 2]; 16];
            }
            for b8 in 0..4 {
                if refs[list][b8] >= 0 {
                    self.sub_vectors::<E, MBAFF>(e, list, b8, subs[b8].shape, refs[list][b8])
                        .map_err(fault)?;
                }
            }
        }
        let inference = self.direct_8x8_inference_flag;
        Ok(subs
            .iter()
            .any(|s| if s.direct { !inference } else { s.shape != 0 }))
    }

    fn sub_types<E: Entropy>(&mut self, e: &mut E) -> std::result::Result<[Sub; 4], Fault> {
        let b_slice = self.slice_type == SliceType::B;
        let mut subs = [Sub::default(); 4];
        for sub in &mut subs {
            let kind = e.sub_mb_type(b_slice);
            let max = if b_slice { 12 } else { 3 };
            if kind > max {
                return Err("sub_mb_type");
            }
            if !b_slice {
                *sub = Sub {
                    lists: 1,
                    shape: kind as u8,
                    direct: false,
                };
            } else if kind == 0 {
                sub.direct = true;
            } else {
                let (lists, shape) = B_SUB[kind as usize - 1];
                *sub = Sub {
                    lists,
                    shape,
                    direct: false,
                };
            }
            let slot = if sub.direct {
                0
            } else {
                1 + sub.shape as usize
            };
            self.stats.sub[slot] += 1;
        }
        Ok(subs)
    }

    /// The vectors of one sub-macroblock.
    fn sub_vectors<E: Entropy, const MBAFF: bool>(
        &mut self,
        e: &mut E,
        list: usize,
        b8: usize,
        shape: u8,
        ref_idx: i8,
    ) -> std::result::Result<(), Fault> {
        let (x8, y8) = ((b8 & 1) * 2, (b8 >> 1) * 2);
        let (w, h) = [(2, 2), (2, 1), (1, 2), (1, 1)][shape as usize & 3];
        for dy in (0..2).step_by(h) {
            for dx in (0..2).step_by(w) {
                let (x, y) = (x8 + dx, y8 + dy);
                let mvp = self.predict::<MBAFF>(list, [x, y, w], ref_idx, Shape::Median);
                let mvd = self.read_mvd::<E, MBAFF>(e, list, [x, y, w, h])?;
                self.fill_mv(list, [x, y, w, h], add(mvp, mvd));
            }
        }
        Ok(())
    }
}

#[inline(always)]
fn add(mvp: [i16; 2], mvd: [i32; 2]) -> [i16; 2] {
    [
        mvp[0].wrapping_add(mvd[0] as i16),
        mvp[1].wrapping_add(mvd[1] as i16),
    ]
}
