//! Intra prediction modes (clauses 8.4.2 and 8.4.3): they select the scan order of coefficients.

use crate::fill::fill_run;

/// Intra prediction modes with a meaning of their own.
pub(super) const PLANAR: u8 = 0;
pub(super) const DC: u8 = 1;
pub(super) const HORIZONTAL: u8 = 10;
pub(super) const VERTICAL: u8 = 26;
const DIAGONAL: u8 = 34;

/// IntraPredModeY to the left of and above the current block, per 4 luma samples of the coding tree
/// block; DC where not available or not intra.
#[derive(Debug, Clone, Copy)]
pub(super) struct IntraModes {
    left: [u8; 16],
    above: [u8; 16],
}

impl Default for IntraModes {
    fn default() -> Self {
        IntraModes {
            left: [DC; 16],
            above: [DC; 16],
        }
    }
}

impl IntraModes {
    /// Modes above a coding tree block are never used; those to its left where it is available.
    pub fn start_ctb(&mut self, left: bool) {
        self.above = [DC; 16];
        if !left {
            self.left = [DC; 16];
        }
    }

    /// Sets the mode of a block of `size` samples at (x, y).
    pub fn set(&mut self, x: usize, y: usize, size: usize, mode: u8) {
        let (column, row, count) = (x >> 2 & 15, y >> 2 & 15, size >> 2);
        fill_run(&mut self.above[column..column + count], mode);
        fill_run(&mut self.left[row..row + count], mode);
    }

    /// candModeList of the block at (x, y).
    pub fn candidates(&self, x: usize, y: usize) -> [u8; 3] {
        let (a, b) = (self.left[y >> 2 & 15], self.above[x >> 2 & 15]);
        if a == b {
            if a < 2 {
                return [PLANAR, DC, VERTICAL];
            }
            return [a, 2 + (a + 29) % 32, 2 + (a - 2 + 1) % 32];
        }
        let third = [PLANAR, DC, VERTICAL]
            .into_iter()
            .find(|&m| m != a && m != b);
        [a, b, third.unwrap_or(VERTICAL)]
    }
}

/// IntraPredModeY from rem_intra_luma_pred_mode.
pub(super) fn remaining_mode(mut candidates: [u8; 3], rem: u8) -> u8 {
    candidates.sort_unstable();
    candidates
        .into_iter()
        .fold(rem, |mode, c| mode + (mode >= c) as u8)
}

/// process422 (table 8-3): IntraPredModeC of 4:2:2 by mode of 4:4:4.
#[rustfmt::skip]
const MODE_422: [u8; 35] = [
    0, 1, 2, 2, 2, 2, 3, 5, 7, 8, 10, 11, 13, 15, 16, 18, 19, 20,
    21, 22, 23, 23, 24, 24, 25, 25, 26, 27, 27, 28, 28, 29, 29, 30, 31,
];

/// IntraPredModeC from intra_chroma_pred_mode and the luma mode.
pub(super) fn chroma_mode(intra_chroma_pred_mode: u32, luma: u8, chroma_array_type: u32) -> u8 {
    const AS_LUMA: u32 = 4;
    let mode = match intra_chroma_pred_mode {
        AS_LUMA => luma,
        index => {
            let mode = [PLANAR, VERTICAL, HORIZONTAL, DC][index as usize & 3];
            if mode == luma {
                DIAGONAL
            } else {
                mode
            }
        }
    };
    if chroma_array_type == 2 {
        MODE_422[mode as usize]
    } else {
        mode
    }
}

/// scanIdx of a block with the given mode (clause 7.4.9.11).
pub(super) fn scan_idx(mode: u8) -> usize {
    match mode {
        6..=14 => 2,
        22..=30 => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidate_modes() {
        let mut modes = IntraModes::default();
        assert_eq!(modes.candidates(0, 0), [PLANAR, DC, VERTICAL]);
        modes.set(0, 0, 8, 10);
        assert_eq!(modes.candidates(0, 0), [10, 9, 11]);
        modes.set(0, 0, 4, 26);
        assert_eq!(modes.candidates(4, 0), [26, 10, PLANAR]);
        assert_eq!(remaining_mode([26, 10, PLANAR], 0), 1);
        assert_eq!(remaining_mode([26, 10, PLANAR], 31), 34);
    }
}
