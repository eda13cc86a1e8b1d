//! Motion vector prediction (clause 8.4.1.3) and P_Skip (clause 8.4.1.1).

use crate::motion::context::MbContext;
use crate::motion::field::Mv;
use crate::motion::neighbour::Neighbour;

#[inline(always)]
fn median3(a: i16, b: i16, c: i16) -> i16 {
    a.min(b).max(a.max(b).min(c))
}

/// Median prediction from neighbours A, B and C (clause 8.4.1.3.1).
#[inline(always)]
pub(crate) fn median(a: Neighbour, b: Neighbour, c: Neighbour, ref_idx: i32) -> Mv {
    if b.ref_idx == -2 && c.ref_idx == -2 && a.ref_idx != -2 {
        return a.mv;
    }
    match (
        a.ref_idx == ref_idx,
        b.ref_idx == ref_idx,
        c.ref_idx == ref_idx,
    ) {
        (true, false, false) => a.mv,
        (false, true, false) => b.mv,
        (false, false, true) => c.mv,
        _ => [
            median3(a.mv[0], b.mv[0], c.mv[0]),
            median3(a.mv[1], b.mv[1], c.mv[1]),
        ],
    }
}

/// Shape and position of a partition, which select the prediction rule (clause 8.4.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Median,
    Upper16x8,
    Lower16x8,
    Left8x16,
    Right8x16,
}

impl MbContext<'_> {
    /// mvpLX of the partition at (`x`, `y`), `w` blocks wide.
    #[inline(always)]
    pub fn predict_mv<const MBAFF: bool>(
        &self,
        list: usize,
        [x, y, w]: [usize; 3],
        ref_idx: i8,
        shape: Shape,
    ) -> Mv {
        let ref_idx = ref_idx as i32;
        if shape == Shape::Upper16x8 {
            let b = self.neighbour_b::<MBAFF>(list, x, y);
            if b.ref_idx == ref_idx {
                return b.mv;
            }
        }
        let a = self.neighbour_a::<MBAFF>(list, x, y);
        if (shape == Shape::Lower16x8 || shape == Shape::Left8x16) && a.ref_idx == ref_idx {
            return a.mv;
        }
        let c = self.neighbour_c::<MBAFF>(list, x, y, w);
        if shape == Shape::Right8x16 && c.ref_idx == ref_idx {
            return c.mv;
        }
        let b = self.neighbour_b::<MBAFF>(list, x, y);
        median(a, b, c, ref_idx)
    }

    /// Derives the motion of P_Skip.
    #[inline(always)]
    pub fn predict_p_skip<const MBAFF: bool>(&mut self) {
        let a = self.neighbour_a::<MBAFF>(0, 0, 0);
        let b = self.neighbour_b::<MBAFF>(0, 0, 0);
        let is_zero = |n: Neighbour| n.ref_idx == 0 && n.mv == [0; 2];
        let mv = if a.ref_idx == -2 || b.ref_idx == -2 || is_zero(a) || is_zero(b) {
            [0; 2]
        } else {
            let c = self.neighbour_c::<MBAFF>(0, 0, 0, 4);
            median(a, b, c, 0)
        };
        self.fill_16x16(0, 0, mv);
        if self.lists > 1 {
            self.fill_16x16(1, -1, [0; 2]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(ref_idx: i32, mv: Mv) -> Neighbour {
        Neighbour { ref_idx, mv }
    }

    #[test]
    fn median_prediction() {
        let (a, b, c) = (n(0, [1, 9]), n(1, [5, 5]), n(0, [3, 7]));
        assert_eq!(median(a, b, c, 0), [3, 7]);
        assert_eq!(median(a, b, c, 1), [5, 5]);
        assert_eq!(median(a, Neighbour::NONE, Neighbour::NONE, 3), [1, 9]);
        assert_eq!(median(a, n(-1, [0; 2]), Neighbour::NONE, 3), [0, 0]);
    }
}
