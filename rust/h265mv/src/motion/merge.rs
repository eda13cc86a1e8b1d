//! Merge mode (clauses 8.5.3.2.2 to 8.5.3.2.5).

use super::derive::SliceMotion;
use super::field::BlockMotion;
use super::neighbours::{Rect, Surroundings};
use crate::slice_data::{PartMode, PredictionUnit};
use crate::syntax::slice::SliceType;

/// l0Cand and l1Cand of combined bi-predictive candidates (table 8-7).
const COMBINATIONS: [(usize, usize); 12] = [
    (0, 1),
    (1, 0),
    (0, 2),
    (2, 0),
    (1, 2),
    (2, 1),
    (0, 3),
    (3, 0),
    (1, 3),
    (3, 1),
    (2, 3),
    (3, 2),
];

/// mergeCandList as far as it is needed.
struct Candidates {
    list: [BlockMotion; 6],
    count: usize,
}

impl Candidates {
    fn push(&mut self, motion: BlockMotion) {
        self.list[self.count] = motion;
        self.count += 1;
    }
}

impl SliceMotion<'_> {
    /// Motion of a prediction unit with merge_flag.
    pub(super) fn merge(&self, around: &Surroundings, unit: &PredictionUnit) -> BlockMotion {
        let wanted = unit.merge_idx as usize;
        let mut unit = *unit;
        let original = Rect {
            x: unit.x as i32,
            y: unit.y as i32,
            w: unit.w as i32,
            h: unit.h as i32,
        };
        let mut block = original;
        if self.log2_parallel_merge_level > 2 && unit.log2_cb == 3 {
            // singleMCLFlag: all parts of the coding unit share the candidates of 2Nx2N.
            (block.x, block.y) = (original.x & -8, original.y & -8);
            (block.w, block.h) = (8, 8);
            (unit.part_mode, unit.part_idx) = (PartMode::P2Nx2N, 0);
        }
        let mut found = self.candidate(around, &unit, block, wanted);
        const SMALLEST: i32 = 12; // 8x4 and 4x8
        if found.ref_idx[0] >= 0 && found.ref_idx[1] >= 0 && original.w + original.h == SMALLEST {
            found.ref_idx[1] = -1;
            found.mv[1] = [0; 2];
        }
        found
    }

    fn candidate(
        &self,
        around: &Surroundings,
        unit: &PredictionUnit,
        block: Rect,
        wanted: usize,
    ) -> BlockMotion {
        let mut candidates = Candidates {
            list: [BlockMotion::INTRA; 6],
            count: 0,
        };
        self.spatial(around, unit, block, wanted, &mut candidates);
        if candidates.count <= wanted {
            self.temporal_candidate(block, &mut candidates);
        }
        if candidates.count <= wanted && self.header.slice_type == SliceType::B {
            self.combined(wanted, &mut candidates);
        }
        if candidates.count > wanted {
            return candidates.list[wanted];
        }
        self.zero(wanted - candidates.count)
    }

    /// Spatial candidates, until the one at index `wanted` is known.
    fn spatial(
        &self,
        around: &Surroundings,
        unit: &PredictionUnit,
        block: Rect,
        wanted: usize,
        candidates: &mut Candidates,
    ) {
        let level = self.log2_parallel_merge_level;
        let get = |place: (i32, i32)| {
            let same_region =
                block.x >> level == place.0 >> level && block.y >> level == place.1 >> level;
            if same_region {
                return None;
            }
            around.motion(unit, block, place)
        };
        let second = unit.part_idx == 1;
        let (beside, below) = match unit.part_mode {
            PartMode::PNx2N | PartMode::PnLx2N | PartMode::PnRx2N => (second, false),
            PartMode::P2NxN | PartMode::P2NxnU | PartMode::P2NxnD => (false, second),
            _ => (false, false),
        };
        let a1 = if beside { None } else { get(block.a1()) };
        if let Some(motion) = a1 {
            candidates.push(motion);
            if wanted == 0 {
                return;
            }
        }
        let b1 = if below { None } else { get(block.b1()) };
        if b1.is_some() && b1 != a1 {
            candidates.list[candidates.count] = b1.unwrap_or(BlockMotion::INTRA);
            candidates.count += 1;
            if candidates.count > wanted {
                return;
            }
        }
        for (place, pruned_by) in [(block.b0(), b1), (block.a0(), a1)] {
            if let Some(motion) = get(place) {
                if pruned_by != Some(motion) {
                    candidates.push(motion);
                    if candidates.count > wanted {
                        return;
                    }
                }
            }
        }
        if candidates.count < 4 {
            if let Some(motion) = get(block.b2()) {
                if a1 != Some(motion) && b1 != Some(motion) {
                    candidates.push(motion);
                }
            }
        }
    }

    fn temporal_candidate(&self, block: Rect, candidates: &mut Candidates) {
        let lists = if self.header.slice_type == SliceType::B {
            2
        } else {
            1
        };
        let mut motion = BlockMotion::INTRA;
        for list in 0..lists {
            if let Some(mv) = self.temporal(block, list, 0) {
                motion.ref_idx[list] = 0;
                motion.mv[list] = mv;
            }
        }
        if motion.is_inter() {
            candidates.push(motion);
        }
    }

    fn combined(&self, wanted: usize, candidates: &mut Candidates) {
        let original = candidates.count;
        if original < 2 {
            return;
        }
        for &(l0, l1) in COMBINATIONS.iter().take(original * (original - 1)) {
            let (first, second) = (candidates.list[l0], candidates.list[l1]);
            let (Some(pic0), Some(pic1)) = (
                self.refs[0].get(first.ref_idx[0] as usize),
                self.refs[1].get(second.ref_idx[1] as usize),
            ) else {
                continue;
            };
            if pic0.poc != pic1.poc || first.mv[0] != second.mv[1] {
                candidates.push(BlockMotion {
                    ref_idx: [first.ref_idx[0], second.ref_idx[1]],
                    mv: [first.mv[0], second.mv[1]],
                });
                if candidates.count > wanted {
                    return;
                }
            }
        }
    }

    /// Zero candidate number `zero_idx`.
    fn zero(&self, zero_idx: usize) -> BlockMotion {
        let active = self.header.num_ref_idx_active;
        let is_b = self.header.slice_type == SliceType::B;
        let count = if is_b {
            active[0].min(active[1])
        } else {
            active[0]
        };
        let ref_idx = if zero_idx < count as usize {
            zero_idx as i8
        } else {
            0
        };
        BlockMotion {
            ref_idx: [ref_idx, if is_b { ref_idx } else { -1 }],
            mv: [[0; 2]; 2],
        }
    }
}
