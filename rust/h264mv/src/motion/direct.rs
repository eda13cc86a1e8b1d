//! Direct prediction of B macroblocks (clause 8.4.1.2).

use crate::motion::colocated::VertMvScale;
use crate::motion::context::MbContext;
use crate::motion::field::Mv;
use crate::motion::predict::median;
use bitstream::Result;

/// MinPositive (equation 8-184).
fn min_positive(a: i32, b: i32) -> i32 {
    if a >= 0 && b >= 0 {
        a.min(b)
    } else {
        a.max(b)
    }
}

/// The 4x4 blocks of 8x8 block `b8`: (x, y) of each.
fn blocks_4x4(b8: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..4).map(move |b4| ((b8 & 1) * 2 + (b4 & 1), (b8 >> 1) * 2 + (b4 >> 1)))
}

/// The 8x8 blocks of a bit mask.
fn blocks_8x8(mask: u8) -> impl Iterator<Item = usize> {
    (0..4).filter(move |b8| mask >> b8 & 1 == 1)
}

/// Area of an 8x8 block: x, y, width, height in 4x4 blocks.
fn area_8x8(b8: usize) -> [usize; 4] {
    [(b8 & 1) * 2, (b8 >> 1) * 2, 2, 2]
}

/// With direct_8x8_inference_flag, the co-located 4x4 block of 8x8 block `b8`: the one in the corner.
fn corner(b8: usize) -> (usize, usize) {
    ((b8 & 1) * 3, (b8 >> 1) * 3)
}

impl MbContext<'_> {
    /// Derives the motion of the 8x8 blocks of `mask` in direct mode.
    pub fn predict_direct<const MBAFF: bool>(&mut self, mask: u8) -> Result<()> {
        if self.header.direct_spatial_mv_pred_flag {
            self.predict_spatial::<MBAFF>(mask)
        } else {
            self.predict_temporal(mask)
        }
    }

    /// Spatial direct prediction (clause 8.4.1.2.2).
    fn predict_spatial<const MBAFF: bool>(&mut self, mask: u8) -> Result<()> {
        let mut refs = [-1i8; 2];
        let mut mvs = [[0i16; 2]; 2];
        for list in 0..2 {
            let a = self.neighbour_a::<MBAFF>(list, 0, 0);
            let b = self.neighbour_b::<MBAFF>(list, 0, 0);
            let c = self.neighbour_c::<MBAFF>(list, 0, 0, 4);
            let ref_idx = min_positive(a.ref_idx, min_positive(b.ref_idx, c.ref_idx)).max(-1);
            refs[list] = ref_idx as i8;
            if ref_idx >= 0 {
                mvs[list] = median(a, b, c, ref_idx);
            }
        }
        if refs == [-1, -1] {
            refs = [0, 0];
        }
        self.fill_direct(mask, refs, mvs);
        // colZeroFlag sets vectors with reference index 0 to zero: read only where that changes one.
        let first = self.direct.lists[1].first();
        let moving = |list: usize| refs[list] == 0 && mvs[list] != [0; 2];
        if first.is_some_and(|e| !e.long_term) && (moving(0) || moving(1)) {
            for b8 in blocks_8x8(mask) {
                self.clear_col_zero(b8, refs)?;
            }
        }
        Ok(())
    }

    /// Sets the vectors of an 8x8 block to zero where colZeroFlag is 1 and the reference index 0.
    fn clear_col_zero(&mut self, b8: usize, refs: [i8; 2]) -> Result<()> {
        if self.direct_8x8_inference_flag {
            return self.clear_col_zero_area(corner(b8), area_8x8(b8), refs);
        }
        for (x, y) in blocks_4x4(b8) {
            self.clear_col_zero_area((x, y), [x, y, 1, 1], refs)?;
        }
        Ok(())
    }

    #[inline(always)]
    fn clear_col_zero_area(
        &mut self,
        (x, y): (usize, usize),
        area: [usize; 4],
        refs: [i8; 2],
    ) -> Result<()> {
        let mb = (self.mb_x, self.mb_y);
        let col = self.direct.colocated(mb, self.field, x, y)?;
        if col.ref_idx == 0 && col.mv.iter().all(|v| (-1..=1).contains(v)) {
            for list in (0..2).filter(|&list| refs[list] == 0) {
                self.fill_mv(list, area, [0; 2]);
            }
        }
        Ok(())
    }

    fn fill_direct(&mut self, mask: u8, refs: [i8; 2], mvs: [Mv; 2]) {
        for list in 0..2 {
            if mask == 15 {
                self.fill_16x16(list, refs[list], mvs[list]);
                continue;
            }
            for b8 in blocks_8x8(mask) {
                self.fill_ref(list, area_8x8(b8), refs[list]);
                self.fill_mv(list, area_8x8(b8), mvs[list]);
            }
        }
    }

    /// Temporal direct prediction (clause 8.4.1.2.3).
    fn predict_temporal(&mut self, mask: u8) -> Result<()> {
        for b8 in blocks_8x8(mask) {
            if self.direct_8x8_inference_flag {
                self.predict_temporal_area(corner(b8), area_8x8(b8))?;
                continue;
            }
            for (x, y) in blocks_4x4(b8) {
                self.predict_temporal_area((x, y), [x, y, 1, 1])?;
            }
        }
        Ok(())
    }

    /// Motion of `area` from the co-located block of (`x`, `y`).
    fn predict_temporal_area(&mut self, (x, y): (usize, usize), area: [usize; 4]) -> Result<()> {
        let direct = &self.direct;
        let mut col = direct.colocated((self.mb_x, self.mb_y), self.field, x, y)?;
        let mut ref_idx = 0;
        if col.ref_idx >= 0 {
            match col.vert_mv_scale {
                VertMvScale::OneToOne => {}
                VertMvScale::FrameToField => col.mv[1] /= 2,
                VertMvScale::FieldToFrame => col.mv[1] = col.mv[1].wrapping_mul(2),
            }
            ref_idx = direct
                .map_col_to_list0(&col, self.field, self.mb_y)
                .ok_or_else(|| direct.missing("refIdxL0 of temporal direct prediction"))?;
        }
        let mvs = direct.scale(ref_idx, col.mv, self.field, self.mb_y)?;
        self.fill_ref(0, area, ref_idx);
        self.fill_ref(1, area, 0);
        self.fill_mv(0, area, mvs[0]);
        self.fill_mv(1, area, mvs[1]);
        Ok(())
    }
}
