//! Context variables of CABAC (clauses 9.3.1.1 and 9.3.3.2.1).

use super::tables::{RANGE_LPS, TRANS_IDX_LPS, TRANS_IDX_MPS};

/// A context variable, pStateIdx and valMPS, stored as what a decision needs of them.
///
/// Its number is pStateIdx * 2 + valMPS. From the highest bit down: bits 62 to 31 are the four values of
/// rangeTabLPS, so that a left shift moves one of them to where the engine has codIRange; bits 29 to 18 are
/// the shifts that renormalise them; bits 14 to 8 are the number of the context after the least probable
/// symbol, bits 6 to 0 the number after the most probable symbol, whose valMPS is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context(pub(super) u64);

/// Context variables by their number.
static BY_NUMBER: [Context; 128] = table();

const fn table() -> [Context; 128] {
    let mut table = [Context(0); 128];
    let mut state = 0;
    while state < 64 {
        let mut ranges = 0;
        let mut i = 0;
        while i < 4 {
            let range = RANGE_LPS[state][i];
            ranges |= (range as u64) << (55 - 8 * i);
            ranges |= (range.leading_zeros() as u64 + 1) << (18 + 3 * i);
            i += 1;
        }
        let mut mps = 0;
        while mps < 2 {
            let flipped = if state == 0 { 1 - mps } else { mps };
            let after_mps = TRANS_IDX_MPS[state] as u64 * 2 + mps;
            let after_lps = TRANS_IDX_LPS[state] as u64 * 2 + flipped;
            table[state * 2 + mps as usize] = Context(ranges | after_lps << 8 | after_mps);
            mps += 1;
        }
        state += 1;
    }
    table
}

/// pStateIdx * 2 + valMPS at the start of a slice, from the table entry (m, n) and SliceQPY (clause 9.3.1.1).
pub fn initial_state(m: i32, n: i32, slice_qp: i32) -> u8 {
    let pre = (((m * slice_qp.clamp(0, 51)) >> 4) + n).clamp(1, 126);
    if pre <= 63 {
        (63 - pre) as u8 * 2
    } else {
        (pre - 64) as u8 * 2 + 1
    }
}

impl Context {
    /// The context at the start of a slice; see [`initial_state`].
    pub fn initial(m: i32, n: i32, slice_qp: i32) -> Self {
        BY_NUMBER[initial_state(m, n, slice_qp) as usize]
    }

    #[inline(always)]
    pub(super) fn after_mps(self) -> Self {
        BY_NUMBER[(self.0 & 0x7f) as usize]
    }

    #[inline(always)]
    pub(super) fn after_lps(self) -> Self {
        BY_NUMBER[(self.0 >> 8 & 0x7f) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mps(context: Context) -> u64 {
        context.0 & 1
    }

    #[test]
    fn state_transitions() {
        for state in 0..62usize {
            for value in 0..2 {
                let context = BY_NUMBER[state * 2 + value];
                assert_eq!(mps(context), value as u64);
                assert_eq!(
                    context.after_mps(),
                    BY_NUMBER[(state + 1).min(62) * 2 + value]
                );
                assert_eq!(mps(context.after_mps()), value as u64);
            }
            assert!(RANGE_LPS[state][0] <= RANGE_LPS[state][3]);
            assert!(TRANS_IDX_LPS[state] as usize <= state);
        }
        // A least probable symbol in state 0 flips valMPS.
        assert_eq!(mps(BY_NUMBER[0].after_lps()), 1);
        assert_eq!(mps(BY_NUMBER[2].after_lps()), 0);
    }

    #[test]
    fn initial_states() {
        // pre = (20 * 26 >> 4) - 15 = 17.
        assert_eq!(initial_state(20, -15, 26), (63 - 17) * 2);
        assert_eq!(initial_state(0, 127, -12), 62 * 2 + 1);
    }

    #[test]
    fn shifts_renormalise() {
        for (state, ranges) in RANGE_LPS.iter().enumerate() {
            for (column, &range) in ranges.iter().enumerate() {
                let shift = BY_NUMBER[state * 2].0 >> (18 + 3 * column) & 7;
                assert_eq!((range as u32) << shift >> 8, 1, "{state} {column}");
            }
        }
    }
}
