//! mb_pred() and sub_mb_pred() of inter macroblocks (clauses 7.3.5.1 and 7.3.5.2).

use bitstream::Malformed;

use crate::entropy::EntropyDecoder;
use crate::motion::context::MbContext;
use crate::motion::field::Mv;
use crate::motion::macroblock_info::flag;
use crate::motion::predict::Shape;
use crate::syntax::slice_header::SliceType;
use bitstream::Result;

/// Prediction lists (bit 0 list 0, bit 1 list 1) and shape (0 8x8, 1 8x4, 2 4x8, 3 4x4) of B
/// sub-macroblock types 1 to 12 (table 7-18).
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

/// Prediction lists of both partitions of B macroblock types 4 and 5, 6 and 7, ... 20 and 21 (table 7-14).
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
struct SubMb {
    lists: u8,
    shape: u8,
    direct: bool,
}

impl SubMb {
    fn new(lists: u8, shape: u8) -> Self {
        SubMb {
            lists,
            shape,
            direct: false,
        }
    }
}

impl MbContext<'_> {
    /// Inter macroblock of type `mb_type`, including coded_block_pattern and residual().
    #[inline(always)]
    pub fn inter<E: EntropyDecoder, const MBAFF: bool>(
        &mut self,
        entropy: &mut E,
        mb_type: u32,
    ) -> Result<()> {
        let b_slice = self.slice_type == SliceType::B;
        let mut below_8x8 = false;
        match (b_slice, mb_type) {
            (true, 0) => {
                self.predict_direct::<MBAFF>(15)?;
                self.cur.flags |= flag::DIRECT;
                self.cur.direct8 = 15;
                self.stats.direct += 1;
                below_8x8 = !self.direct_8x8_inference_flag;
            }
            (true, 22) | (false, 3 | 4) => {
                below_8x8 = self.partitions_8x8::<E, MBAFF>(entropy, mb_type == 4)?;
            }
            (_, 0) | (true, 1..=3) => {
                let lists = if b_slice { mb_type as u8 } else { 1 };
                self.partition_16x16::<E, MBAFF>(entropy, lists)?;
            }
            (true, _) => {
                let lists = B_PAIR[(mb_type as usize - 4) / 2];
                self.partition_pair::<E, MBAFF>(entropy, mb_type & 1 == 1, lists)?;
            }
            (false, _) => {
                self.partition_pair::<E, MBAFF>(entropy, mb_type == 2, [1, 1])?;
            }
        }
        let cbp = entropy.coded_block_pattern(self, false)?;
        self.cur.cbp = cbp;
        if cbp & 15 != 0
            && self.transform_8x8_mode_flag
            && !below_8x8
            && entropy.transform_size_8x8_flag(self)
        {
            self.cur.flags |= flag::T8X8;
        }
        Ok(self.coded_residual(entropy, false)?)
    }

    /// One partition that uses the lists of the bit mask `lists`.
    #[inline(always)]
    fn partition_16x16<E: EntropyDecoder, const MBAFF: bool>(
        &mut self,
        entropy: &mut E,
        lists: u8,
    ) -> Result<(), Malformed> {
        self.stats.inter_16x16 += 1;
        let mut refs = [-1i8; 2];
        for list in 0..2 {
            if lists >> list & 1 == 1 {
                refs[list] = self.read_ref::<E, MBAFF>(entropy, list, 0, 0)?;
            }
        }
        for list in 0..self.lists {
            if refs[list] < 0 {
                self.fill_16x16(list, -1, [0; 2]);
                continue;
            }
            let mvp = self.predict_mv::<MBAFF>(list, [0, 0, 4], refs[list], Shape::Median);
            let mvd = self.read_mvd::<E, MBAFF>(entropy, list, [0, 0, 4, 4])?;
            self.fill_16x16(list, refs[list], add(mvp, mvd));
        }
        Ok(())
    }

    /// Two partitions: 8x16 if `upright`, else 16x8.
    fn partition_pair<E: EntropyDecoder, const MBAFF: bool>(
        &mut self,
        entropy: &mut E,
        upright: bool,
        lists: [u8; 2],
    ) -> Result<(), Malformed> {
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
                    refs[list][part] = self.read_ref::<E, MBAFF>(entropy, list, x, y)?;
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
                let mvp = self.predict_mv::<MBAFF>(list, [x, y, w], ref_idx, shapes[part]);
                let mvd = self.read_mvd::<E, MBAFF>(entropy, list, [x, y, w, h])?;
                self.fill_mv(list, areas[part], add(mvp, mvd));
            }
        }
        Ok(())
    }

    /// P_8x8, P_8x8ref0 and B_8x8; returns whether a partition is smaller than 8x8.
    fn partitions_8x8<E: EntropyDecoder, const MBAFF: bool>(
        &mut self,
        entropy: &mut E,
        ref0: bool,
    ) -> Result<bool> {
        self.stats.inter_8x8 += 1;
        let subs = self.sub_mb_types(entropy)?;
        let direct = (0..4).fold(0, |mask, b| mask | (subs[b].direct as u8) << b);
        self.cur.direct8 = direct;
        let mut refs = [[-1i8; 4]; 2];
        // Partitions that are not parsed yet must not show the references of an older picture.
        self.clear_motion();
        if direct != 0 {
            self.predict_direct::<MBAFF>(direct)?;
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
                    self.read_ref::<E, MBAFF>(entropy, list, x, y)?
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
                    self.sub_mb_vectors::<E, MBAFF>(
                        entropy,
                        list,
                        b8,
                        subs[b8].shape,
                        refs[list][b8],
                    )?;
                }
            }
        }
        let inference = self.direct_8x8_inference_flag;
        let below_8x8 = |s: &SubMb| if s.direct { !inference } else { s.shape != 0 };
        Ok(subs.iter().any(below_8x8))
    }

    /// sub_mb_type of the four sub-macroblocks.
    fn sub_mb_types<E: EntropyDecoder>(
        &mut self,
        entropy: &mut E,
    ) -> Result<[SubMb; 4], Malformed> {
        let b_slice = self.slice_type == SliceType::B;
        let mut subs = [SubMb::default(); 4];
        for sub in &mut subs {
            let sub_mb_type = entropy.sub_mb_type(b_slice);
            *sub = match (b_slice, sub_mb_type as u8) {
                _ if sub_mb_type > if b_slice { 12 } else { 3 } => {
                    return Err(Malformed("sub_mb_type"))
                }
                (false, shape) => SubMb::new(1, shape),
                (true, 0) => SubMb {
                    direct: true,
                    ..SubMb::default()
                },
                (true, _) => {
                    let (lists, shape) = B_SUB[sub_mb_type as usize - 1];
                    SubMb::new(lists, shape)
                }
            };
            let kind = if sub.direct { 0 } else { 1 + sub.shape };
            self.stats.sub[kind as usize] += 1;
        }
        Ok(subs)
    }

    /// The vectors of one sub-macroblock.
    fn sub_mb_vectors<E: EntropyDecoder, const MBAFF: bool>(
        &mut self,
        entropy: &mut E,
        list: usize,
        b8: usize,
        shape: u8,
        ref_idx: i8,
    ) -> Result<(), Malformed> {
        let (x8, y8) = ((b8 & 1) * 2, (b8 >> 1) * 2);
        let (w, h) = [(2, 2), (2, 1), (1, 2), (1, 1)][shape as usize & 3];
        for dy in (0..2).step_by(h) {
            for dx in (0..2).step_by(w) {
                let (x, y) = (x8 + dx, y8 + dy);
                let mvp = self.predict_mv::<MBAFF>(list, [x, y, w], ref_idx, Shape::Median);
                let mvd = self.read_mvd::<E, MBAFF>(entropy, list, [x, y, w, h])?;
                self.fill_mv(list, [x, y, w, h], add(mvp, mvd));
            }
        }
        Ok(())
    }
}

#[inline(always)]
fn add(mvp: Mv, mvd: [i32; 2]) -> Mv {
    [
        mvp[0].wrapping_add(mvd[0] as i16),
        mvp[1].wrapping_add(mvd[1] as i16),
    ]
}
