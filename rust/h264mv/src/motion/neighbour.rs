//! Neighbouring blocks and macroblocks (clauses 6.4.8 to 6.4.12).

use crate::motion::context::MbContext;
use crate::motion::field::Mv;
use crate::motion::macroblock_info::flag;

/// Reference index (-2 not available, -1 list not used) and vector of a neighbouring block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Neighbour {
    pub ref_idx: i32,
    pub mv: Mv,
}

impl Neighbour {
    pub const NONE: Neighbour = Neighbour {
        ref_idx: -2,
        mv: [0; 2],
    };
}

impl MbContext<'_> {
    /// Macroblock and row of the sample left of row `y` of `max_h` (table 6-4, xN < 0, yN >= 0).
    #[inline(always)]
    pub fn left<const MBAFF: bool>(&self, y: usize, max_h: usize) -> (usize, usize) {
        if !MBAFF {
            return (self.a, y);
        }
        let a = self.pairs[0];
        if !a.available {
            return (self.none(), y);
        }
        let bottom = self.mb_y & 1;
        let select = |lower: bool| if lower { a.top + self.width } else { a.top };
        match (self.field, a.field) {
            (false, false) | (true, true) => (select(bottom == 1), y),
            (false, true) => (select(y & 1 == 1), (y + bottom * max_h) >> 1),
            (true, false) => {
                let row = 2 * y + bottom;
                (select(row >= max_h), row % max_h)
            }
        }
    }

    /// Macroblock and row above in pair `which` (1 B, 2 C, 3 D) of an MBAFF frame (table 6-4, yN < 0).
    pub fn above_mbaff(&self, which: usize) -> Option<(usize, usize)> {
        let bottom = self.mb_y & 1 == 1;
        if !self.field && bottom {
            let a = self.pairs[0];
            return match which {
                1 => Some((self.mb - self.width, 15)),
                3 if a.available && a.field => Some((a.top + self.width, 7)),
                3 if a.available => Some((a.top, 15)),
                _ => None,
            };
        }
        let pair = self.pairs[which];
        let mb = if self.field && !bottom && pair.field {
            pair.top
        } else {
            pair.top + self.width
        };
        pair.available.then_some((mb, 15))
    }

    /// A block of another macroblock of an MBAFF frame, converted to frame or field units of this one
    /// (clause 8.4.1.3.1).
    fn fetch_mbaff(&self, list: usize, mb: usize, row: usize, col: usize) -> Neighbour {
        let (mb_x, mb_y) = (mb % self.width, mb / self.width);
        let i = (mb_y * 4 + row) * self.w4 + mb_x * 4 + col;
        let mut neighbour = self.read(list, i);
        if neighbour.ref_idx >= 0 && self.info[mb].has(flag::FIELD) != self.field {
            if self.field {
                neighbour.ref_idx <<= 1;
                neighbour.mv[1] /= 2;
            } else {
                neighbour.ref_idx >>= 1;
                neighbour.mv[1] = neighbour.mv[1].wrapping_mul(2);
            }
        }
        neighbour
    }

    #[inline(always)]
    fn read(&self, list: usize, i: usize) -> Neighbour {
        let i = list * self.plane + i;
        Neighbour {
            ref_idx: self.ref_idx[i] as i32,
            mv: self.mv[i],
        }
    }

    /// Neighbour A: the block left of block (`x`, `y`).
    #[inline(always)]
    pub fn neighbour_a<const MBAFF: bool>(&self, list: usize, x: usize, y: usize) -> Neighbour {
        if x > 0 {
            return self.read(list, self.grid + y * self.w4 + x - 1);
        }
        let (mb, row) = self.left::<MBAFF>(y * 4, 16);
        if mb == self.none() {
            Neighbour::NONE
        } else if MBAFF {
            self.fetch_mbaff(list, mb, row / 4, 3)
        } else {
            self.read(list, self.grid + y * self.w4 - 1)
        }
    }

    /// Neighbour B: the block above block (`x`, `y`).
    #[inline(always)]
    pub fn neighbour_b<const MBAFF: bool>(&self, list: usize, x: usize, y: usize) -> Neighbour {
        if y > 0 {
            return self.read(list, self.grid + (y - 1) * self.w4 + x);
        }
        if self.b == self.none() {
            Neighbour::NONE
        } else if MBAFF {
            self.fetch_mbaff(list, self.b, 3, x)
        } else {
            self.read(list, self.grid - self.w4 + x)
        }
    }

    /// Neighbour C: the block above and right of a partition at (`x`, `y`), `w` blocks wide; D if that is
    /// not available (clause 8.4.1.3.2).
    #[inline(always)]
    pub fn neighbour_c<const MBAFF: bool>(
        &self,
        list: usize,
        x: usize,
        y: usize,
        w: usize,
    ) -> Neighbour {
        if y == 0 {
            if x + w < 4 {
                if self.b != self.none() {
                    return self.neighbour_b::<MBAFF>(list, x + w, 0);
                }
            } else if MBAFF {
                if let Some((mb, row)) = self.above_mbaff(2) {
                    return self.fetch_mbaff(list, mb, row / 4, 0);
                }
            } else if self.has_c {
                return self.read(list, self.grid - self.w4 + 4);
            }
        } else if x + w < 4 && z_order(x + w, y - 1) < z_order(x, y) {
            return self.read(list, self.grid + (y - 1) * self.w4 + x + w);
        }
        self.neighbour_d::<MBAFF>(list, x, y)
    }

    /// Neighbour D: the block above and left of block (`x`, `y`).
    #[inline(always)]
    fn neighbour_d<const MBAFF: bool>(&self, list: usize, x: usize, y: usize) -> Neighbour {
        if x > 0 {
            return self.neighbour_b::<MBAFF>(list, x - 1, y);
        }
        if MBAFF {
            if y > 0 {
                let (mb, row) = self.left::<true>(y * 4 - 1, 16);
                if mb == self.none() {
                    return Neighbour::NONE;
                }
                return self.fetch_mbaff(list, mb, row / 4, 3);
            }
            return match self.above_mbaff(3) {
                Some((mb, row)) => self.fetch_mbaff(list, mb, row / 4, 3),
                None => Neighbour::NONE,
            };
        }
        if y > 0 {
            self.neighbour_a::<false>(list, 0, y - 1)
        } else if self.has_d {
            self.read(list, self.grid - self.w4 - 1)
        } else {
            Neighbour::NONE
        }
    }
}

/// Decoding order of a 4x4 block inside its macroblock (figure 6-10).
#[inline(always)]
fn z_order(x: usize, y: usize) -> usize {
    (x & 1) | (y & 1) << 1 | (x & 2) << 1 | (y & 2) << 2
}
