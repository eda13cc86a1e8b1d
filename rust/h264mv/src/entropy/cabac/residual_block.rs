//! residual_block_cabac(): significance map and levels (clauses 7.3.5.3.3 and 9.3.3.1.3).

use bitstream::cabac::{Context, Engine};

use super::contexts::MapContexts;
use super::tables::{LAST8, SIG8_FIELD, SIG8_FRAME};

/// Rule by which significance contexts follow from the position of a coefficient.
pub(super) mod kind {
    pub const PLAIN: u8 = 0;
    pub const CHROMA_DC_420: u8 = 1;
    pub const CHROMA_DC_422: u8 = 2;
    pub const LUMA_8X8: u8 = 3;
    pub const LUMA_8X8_FIELD: u8 = 4;
}

/// Significance map and levels of a block; false if a level is longer than any legal one. Not inlined
/// and with a local engine, so that all state stays in registers.
#[inline(never)]
pub(super) fn residual_block<const KIND: u8, const SIZE: usize>(
    engine: &mut Engine,
    map: &mut MapContexts,
    level: &mut [Context; 16],
) -> bool {
    let mut local = *engine;
    let count = significance_map::<KIND, SIZE>(&mut local, map);
    let legal = levels::<KIND>(&mut local, level, count);
    *engine = local;
    legal
}

/// Reads the significance map; returns the number of significant coefficients.
#[inline(always)]
fn significance_map<const KIND: u8, const SIZE: usize>(
    e: &mut Engine,
    map: &mut MapContexts,
) -> u32 {
    let mut count = 0;
    for i in 0..SIZE - 1 {
        let (significant, last) = match KIND {
            kind::PLAIN => (i, i),
            kind::CHROMA_DC_420 => (i.min(2), i.min(2)),
            kind::CHROMA_DC_422 => ((i / 2).min(2), (i / 2).min(2)),
            kind::LUMA_8X8 => (SIG8_FRAME[i] as usize, LAST8[i] as usize),
            _ => (SIG8_FIELD[i] as usize, LAST8[i] as usize),
        };
        e.refill();
        let found = e.decision_without_refill(&mut map.significant[significant & 15]);
        count += found;
        let end = e.decision_if(found == 1, &mut map.last[last & 15]);
        if found & end == 1 {
            return count;
        }
    }
    count + 1
}

/// Context of the first bin of coeff_abs_level_minus1 by the levels decoded so far: nodes 0 to 3 count
/// levels of 1, nodes 4 to 7 larger ones (clause 9.3.3.1.3).
const FIRST_BIN: [u8; 8] = [1, 2, 3, 4, 0, 0, 0, 0];
/// Context of the other bins by node; for chroma DC in the second row.
const OTHER_BINS: [[u8; 8]; 2] = [[5, 5, 5, 5, 6, 7, 8, 9], [5, 5, 5, 5, 6, 7, 8, 8]];
/// Next node after a level of 1, and after a larger one.
const NEXT_NODE: [[u8; 8]; 2] = [[1, 2, 3, 3, 4, 5, 6, 7], [4, 4, 4, 4, 5, 6, 7, 7]];

/// coeff_abs_level_minus1 and coeff_sign_flag of `count` coefficients; false as [`residual_block`].
#[inline(always)]
fn levels<const KIND: u8>(e: &mut Engine, level: &mut [Context; 16], count: u32) -> bool {
    let dc = KIND == kind::CHROMA_DC_420 || KIND == kind::CHROMA_DC_422;
    let mut node = 0;
    for _ in 0..count {
        e.refill();
        let first = FIRST_BIN[node] as usize;
        if e.decision_without_refill(&mut level[first]) == 0 {
            node = NEXT_NODE[0][node] as usize;
        } else {
            let other = &mut level[OTHER_BINS[dc as usize][node] as usize];
            // A local variable, which stays in registers.
            let mut context = *other;
            let mut value = 1;
            while value < 14 && e.decision(&mut context) == 1 {
                value += 1;
            }
            *other = context;
            if value == 14 && !level_suffix(e) {
                return false;
            }
            node = NEXT_NODE[1][node] as usize;
        }
        e.bypass_without_refill();
    }
    true
}

/// Exp-Golomb suffix of a level; false if it is longer than any legal one.
#[inline(always)]
fn level_suffix(e: &mut Engine) -> bool {
    let mut k = 0;
    while e.bypass() == 1 {
        k += 1;
        if k > 24 {
            return false;
        }
    }
    for _ in 0..k {
        e.bypass();
    }
    true
}
