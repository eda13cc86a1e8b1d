//! Motion vector prediction (clauses 8.5.3.2.6 and 8.5.3.2.7).

use super::derive::SliceMotion;
use super::field::{BlockMotion, Mv};
use super::neighbours::{Rect, Surroundings};
use super::temporal::scale;
use crate::refs::RefPic;
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
            scaled_between(motion.mv[from], self.poc, picture, target)
        })
    }
}

/// A vector from the picture at `poc` to `picture`, scaled for `target`; long-term pictures are not mixed
/// with others.
fn scaled_between(mv: Mv, poc: i32, picture: &RefPic, target: &RefPic) -> Option<Mv> {
    if picture.long_term != target.long_term {
        return None;
    }
    // The factor of equal distances is not always 1 (for example of 121).
    if picture.long_term || picture.poc == target.poc {
        return Some(mv);
    }
    let td = poc.wrapping_sub(picture.poc);
    let tb = poc.wrapping_sub(target.poc);
    Some(scale(mv, tb, td))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_scaled_between_different_pictures() {
        let picture = |poc, long_term| RefPic {
            picture: None,
            poc,
            long_term,
        };
        let scaled = |from, target| scaled_between([1000, -1000], 121, &from, &target);
        let near = picture(0, false);
        assert_eq!(scale([1000, -1000], 121, 121), [996, -996]);
        assert_eq!(scaled(near, near), Some([1000, -1000]));
        assert_eq!(
            scaled(picture(119, false), picture(120, false)),
            Some([500, -500])
        );
        assert_eq!(
            scaled(picture(3, true), picture(4, true)),
            Some([1000, -1000])
        );
        assert_eq!(scaled(near, picture(0, true)), None);
    }
}
