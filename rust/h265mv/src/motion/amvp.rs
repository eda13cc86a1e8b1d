//! Motion vector prediction (clauses 8.5.3.2.6 and 8.5.3.2.7).

use super::derive::SliceMotion;
use super::field::{BlockMotion, Mv};
use super::neighbours::{Rect, Surroundings};
use super::temporal::scale;
use crate::slice_data::PredictionUnit;

impl SliceMotion<'_> {
    /// Motion of a prediction unit with motion vector differences.
    pub(super) fn predicted(&self, around: &Surroundings, unit: &PredictionUnit) -> BlockMotion {
        let mut motion = BlockMotion {
            ref_idx: unit.ref_idx,
            mv: [[0; 2]; 2],
        };
        for list in 0..2 {
            if unit.ref_idx[list] < 0 {
                continue;
            }
            let mvp = self.mvp(around, unit, list);
            let mvd = unit.mvd[list];
            motion.mv[list] = [mvp[0].wrapping_add(mvd[0]), mvp[1].wrapping_add(mvd[1])];
        }
        motion
    }

    /// mvpListLX[mvp_lX_flag].
    fn mvp(&self, around: &Surroundings, unit: &PredictionUnit, list: usize) -> Mv {
        let ref_idx = unit.ref_idx[list];
        let wanted = unit.mvp_flag[list] as usize;
        let block = Rect {
            x: unit.x as i32,
            y: unit.y as i32,
            w: unit.w as i32,
            h: unit.h as i32,
        };
        let get = |place| around.motion(unit, block, place);
        let left = [get(block.a0()), get(block.a1())];
        let is_scaled = left.iter().any(Option::is_some);
        let first = |candidates: &[Option<BlockMotion>], scaled: bool| {
            candidates.iter().flatten().find_map(|motion| {
                if scaled {
                    self.scaled(motion, list, ref_idx)
                } else {
                    self.unscaled(motion, list, ref_idx)
                }
            })
        };
        let mut a = first(&left, false).or_else(|| first(&left, true));
        if wanted == 0 {
            if let Some(mv) = a {
                return mv;
            }
        }
        let above = [get(block.b0()), get(block.b1()), get(block.b2())];
        let mut b = first(&above, false);
        if !is_scaled {
            if b.is_some() {
                a = b;
            }
            b = first(&above, true);
        }
        let mut candidates = [[0; 2]; 3];
        let mut count = 0;
        for mv in [a, b].into_iter().flatten() {
            if count == 0 || candidates[0] != mv {
                candidates[count] = mv;
                count += 1;
            }
        }
        if count <= wanted {
            if let Some(mv) = self.temporal(block, list, ref_idx) {
                candidates[count] = mv;
            }
        }
        candidates[wanted]
    }

    /// The vector of a neighbour that refers to the same picture; list `list` comes first.
    fn unscaled(&self, motion: &BlockMotion, list: usize, ref_idx: i8) -> Option<Mv> {
        let target = self.refs[list].get(ref_idx as usize)?;
        [list, 1 - list].into_iter().find_map(|from| {
            let picture = self.refs[from].get(motion.ref_idx[from] as usize)?;
            (picture.poc == target.poc).then_some(motion.mv[from])
        })
    }

    /// The vector of a neighbour scaled to the distance of the target picture.
    fn scaled(&self, motion: &BlockMotion, list: usize, ref_idx: i8) -> Option<Mv> {
        let target = self.refs[list].get(ref_idx as usize)?;
        [list, 1 - list].into_iter().find_map(|from| {
            let picture = self.refs[from].get(motion.ref_idx[from] as usize)?;
            if picture.long_term != target.long_term {
                return None;
            }
            let mv = motion.mv[from];
            // The factor of equal distances is not always 1 (for example of 121).
            if picture.long_term || picture.poc == target.poc {
                return Some(mv);
            }
            let td = self.poc.wrapping_sub(picture.poc);
            let tb = self.poc.wrapping_sub(target.poc);
            Some(scale(mv, tb, td))
        })
    }
}
