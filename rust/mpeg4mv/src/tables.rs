//! Variable length codes of ISO/IEC 14496-2, annex B.

use std::sync::LazyLock;

/// (code, length) of mcbpc in P pictures by 4 * type + cbpc, types as in [`crate::predicted`]; 20 is stuffing:
/// table B.7. Lengths of 0 mark values that do not exist.
#[rustfmt::skip]
static MCBPC_INTER: [(u16, u8); 28] = [
    (1, 1), (3, 4), (2, 4), (5, 6),
    (3, 5), (4, 8), (3, 8), (3, 7),
    (3, 3), (7, 7), (6, 7), (5, 9),
    (4, 6), (4, 9), (3, 9), (2, 9),
    (2, 3), (5, 7), (4, 7), (5, 8),
    (1, 9), (0, 0), (0, 0), (0, 0),
    (2, 11), (12, 13), (14, 13), (15, 13),
];

/// (code, length) of cbpy of intra macroblocks, whose bits are inverted in others: table B.8.
#[rustfmt::skip]
static CBPY: [(u16, u8); 16] = [
    (3, 4), (5, 5), (4, 5), (9, 4), (3, 5), (7, 4), (2, 6), (11, 4),
    (2, 5), (3, 6), (5, 4), (10, 4), (4, 4), (8, 4), (6, 4), (3, 2),
];

/// (code, length) of the magnitude of a vector difference, without its sign: table B.12.
#[rustfmt::skip]
static MVD: [(u16, u8); 33] = [
    (1, 1), (1, 2), (1, 3), (1, 4), (3, 6), (5, 7), (4, 7), (3, 7), (11, 9), (10, 9), (9, 9),
    (17, 10), (16, 10), (15, 10), (14, 10), (13, 10), (12, 10), (11, 10), (10, 10), (9, 10), (8, 10), (7, 10),
    (6, 10), (5, 10), (4, 10), (7, 11), (6, 11), (5, 11), (4, 11), (3, 11), (2, 11), (3, 12), (2, 12),
];

/// (code, length) of dct_dc_size of luminance and of chrominance blocks: tables B.13 and B.14.
#[rustfmt::skip]
static DC_SIZE: [[(u16, u8); 13]; 2] = [
    [(3, 3), (3, 2), (2, 2), (2, 3), (1, 3), (1, 4), (1, 5), (1, 6), (1, 7), (1, 8), (1, 9), (1, 10), (1, 11)],
    [(3, 2), (2, 2), (1, 2), (1, 3), (1, 4), (1, 5), (1, 6), (1, 7), (1, 8), (1, 9), (1, 10), (1, 11), (1, 12)],
];

/// (LAST, RUN, LEVEL, code, length) of intra blocks: table B.16.
#[rustfmt::skip]
pub(crate) static INTRA_TCOEF: [(u8, u8, u8, u16, u8); 102] = [
    (0, 0, 1, 0x2, 2), (0, 0, 2, 0x6, 3), (0, 0, 3, 0xf, 4), (0, 0, 4, 0xd, 5), (0, 0, 5, 0xc, 5), (0, 0, 6, 0x15, 6),
    (0, 0, 7, 0x13, 6), (0, 0, 8, 0x12, 6), (0, 0, 9, 0x17, 7), (0, 0, 10, 0x1f, 8), (0, 0, 11, 0x1e, 8), (0, 0, 12, 0x1d, 8),
    (0, 0, 13, 0x25, 9), (0, 0, 14, 0x24, 9), (0, 0, 15, 0x23, 9), (0, 0, 16, 0x21, 9), (0, 0, 17, 0x21, 10), (0, 0, 18, 0x20, 10),
    (0, 0, 19, 0xf, 10), (0, 0, 20, 0xe, 10), (0, 0, 21, 0x7, 11), (0, 0, 22, 0x6, 11), (0, 0, 23, 0x20, 11), (0, 0, 24, 0x21, 11),
    (0, 0, 25, 0x50, 12), (0, 0, 26, 0x51, 12), (0, 0, 27, 0x52, 12), (0, 1, 1, 0xe, 4), (0, 1, 2, 0x14, 6), (0, 1, 3, 0x16, 7),
    (0, 1, 4, 0x1c, 8), (0, 1, 5, 0x20, 9), (0, 1, 6, 0x1f, 9), (0, 1, 7, 0xd, 10), (0, 1, 8, 0x22, 11), (0, 1, 9, 0x53, 12),
    (0, 1, 10, 0x55, 12), (0, 2, 1, 0xb, 5), (0, 2, 2, 0x15, 7), (0, 2, 3, 0x1e, 9), (0, 2, 4, 0xc, 10), (0, 2, 5, 0x56, 12),
    (0, 3, 1, 0x11, 6), (0, 3, 2, 0x1b, 8), (0, 3, 3, 0x1d, 9), (0, 3, 4, 0xb, 10), (0, 4, 1, 0x10, 6), (0, 4, 2, 0x22, 9),
    (0, 4, 3, 0xa, 10), (0, 5, 1, 0xd, 6), (0, 5, 2, 0x1c, 9), (0, 5, 3, 0x8, 10), (0, 6, 1, 0x12, 7), (0, 6, 2, 0x1b, 9),
    (0, 6, 3, 0x54, 12), (0, 7, 1, 0x14, 7), (0, 7, 2, 0x1a, 9), (0, 7, 3, 0x57, 12), (0, 8, 1, 0x19, 8), (0, 8, 2, 0x9, 10),
    (0, 9, 1, 0x18, 8), (0, 9, 2, 0x23, 11), (0, 10, 1, 0x17, 8), (0, 11, 1, 0x19, 9), (0, 12, 1, 0x18, 9), (0, 13, 1, 0x7, 10),
    (0, 14, 1, 0x58, 12), (1, 0, 1, 0x7, 4), (1, 0, 2, 0xc, 6), (1, 0, 3, 0x16, 8), (1, 0, 4, 0x17, 9), (1, 0, 5, 0x6, 10),
    (1, 0, 6, 0x5, 11), (1, 0, 7, 0x4, 11), (1, 0, 8, 0x59, 12), (1, 1, 1, 0xf, 6), (1, 1, 2, 0x16, 9), (1, 1, 3, 0x5, 10),
    (1, 2, 1, 0xe, 6), (1, 2, 2, 0x4, 10), (1, 3, 1, 0x11, 7), (1, 3, 2, 0x24, 11), (1, 4, 1, 0x10, 7), (1, 4, 2, 0x25, 11),
    (1, 5, 1, 0x13, 7), (1, 5, 2, 0x5a, 12), (1, 6, 1, 0x15, 8), (1, 6, 2, 0x5b, 12), (1, 7, 1, 0x14, 8), (1, 8, 1, 0x13, 8),
    (1, 9, 1, 0x1a, 8), (1, 10, 1, 0x15, 9), (1, 11, 1, 0x14, 9), (1, 12, 1, 0x13, 9), (1, 13, 1, 0x12, 9), (1, 14, 1, 0x11, 9),
    (1, 15, 1, 0x26, 11), (1, 16, 1, 0x27, 11), (1, 17, 1, 0x5c, 12), (1, 18, 1, 0x5d, 12), (1, 19, 1, 0x5e, 12), (1, 20, 1, 0x5f, 12),
];

/// (LAST, RUN, LEVEL, code, length) of inter blocks: table B.17.
#[rustfmt::skip]
pub(crate) static INTER_TCOEF: [(u8, u8, u8, u16, u8); 102] = [
    (0, 0, 1, 0x2, 2), (0, 0, 2, 0xf, 4), (0, 0, 3, 0x15, 6), (0, 0, 4, 0x17, 7), (0, 0, 5, 0x1f, 8), (0, 0, 6, 0x25, 9),
    (0, 0, 7, 0x24, 9), (0, 0, 8, 0x21, 10), (0, 0, 9, 0x20, 10), (0, 0, 10, 0x7, 11), (0, 0, 11, 0x6, 11), (0, 0, 12, 0x20, 11),
    (0, 1, 1, 0x6, 3), (0, 1, 2, 0x14, 6), (0, 1, 3, 0x1e, 8), (0, 1, 4, 0xf, 10), (0, 1, 5, 0x21, 11), (0, 1, 6, 0x50, 12),
    (0, 2, 1, 0xe, 4), (0, 2, 2, 0x1d, 8), (0, 2, 3, 0xe, 10), (0, 2, 4, 0x51, 12), (0, 3, 1, 0xd, 5), (0, 3, 2, 0x23, 9),
    (0, 3, 3, 0xd, 10), (0, 4, 1, 0xc, 5), (0, 4, 2, 0x22, 9), (0, 4, 3, 0x52, 12), (0, 5, 1, 0xb, 5), (0, 5, 2, 0xc, 10),
    (0, 5, 3, 0x53, 12), (0, 6, 1, 0x13, 6), (0, 6, 2, 0xb, 10), (0, 6, 3, 0x54, 12), (0, 7, 1, 0x12, 6), (0, 7, 2, 0xa, 10),
    (0, 8, 1, 0x11, 6), (0, 8, 2, 0x9, 10), (0, 9, 1, 0x10, 6), (0, 9, 2, 0x8, 10), (0, 10, 1, 0x16, 7), (0, 10, 2, 0x55, 12),
    (0, 11, 1, 0x15, 7), (0, 12, 1, 0x14, 7), (0, 13, 1, 0x1c, 8), (0, 14, 1, 0x1b, 8), (0, 15, 1, 0x21, 9), (0, 16, 1, 0x20, 9),
    (0, 17, 1, 0x1f, 9), (0, 18, 1, 0x1e, 9), (0, 19, 1, 0x1d, 9), (0, 20, 1, 0x1c, 9), (0, 21, 1, 0x1b, 9), (0, 22, 1, 0x1a, 9),
    (0, 23, 1, 0x22, 11), (0, 24, 1, 0x23, 11), (0, 25, 1, 0x56, 12), (0, 26, 1, 0x57, 12), (1, 0, 1, 0x7, 4), (1, 0, 2, 0x19, 9),
    (1, 0, 3, 0x5, 11), (1, 1, 1, 0xf, 6), (1, 1, 2, 0x4, 11), (1, 2, 1, 0xe, 6), (1, 3, 1, 0xd, 6), (1, 4, 1, 0xc, 6),
    (1, 5, 1, 0x13, 7), (1, 6, 1, 0x12, 7), (1, 7, 1, 0x11, 7), (1, 8, 1, 0x10, 7), (1, 9, 1, 0x1a, 8), (1, 10, 1, 0x19, 8),
    (1, 11, 1, 0x18, 8), (1, 12, 1, 0x17, 8), (1, 13, 1, 0x16, 8), (1, 14, 1, 0x15, 8), (1, 15, 1, 0x14, 8), (1, 16, 1, 0x13, 8),
    (1, 17, 1, 0x18, 9), (1, 18, 1, 0x17, 9), (1, 19, 1, 0x16, 9), (1, 20, 1, 0x15, 9), (1, 21, 1, 0x14, 9), (1, 22, 1, 0x13, 9),
    (1, 23, 1, 0x12, 9), (1, 24, 1, 0x11, 9), (1, 25, 1, 0x7, 10), (1, 26, 1, 0x6, 10), (1, 27, 1, 0x5, 10), (1, 28, 1, 0x4, 10),
    (1, 29, 1, 0x24, 11), (1, 30, 1, 0x25, 11), (1, 31, 1, 0x26, 11), (1, 32, 1, 0x27, 11), (1, 33, 1, 0x58, 12), (1, 34, 1, 0x59, 12),
    (1, 35, 1, 0x5a, 12), (1, 36, 1, 0x5b, 12), (1, 37, 1, 0x5c, 12), (1, 38, 1, 0x5d, 12), (1, 39, 1, 0x5e, 12), (1, 40, 1, 0x5f, 12),
];

/// The escape code of both tables of coefficients: 0000 011.
const ESCAPE: (u16, u8) = (3, 7);

/// A table of codes, looked up by the next bits.
pub(crate) struct Codes {
    bits: u32,
    entries: Vec<(u8, u8)>,
}

impl Codes {
    fn of(codes: impl Iterator<Item = (u16, u8)>, bits: u32) -> Self {
        let mut entries = vec![(0, 0); 1 << bits];
        for (value, (code, length)) in codes.enumerate().filter(|(_, (_, length))| *length > 0) {
            let rest = bits - u32::from(length);
            let first = usize::from(code) << rest;
            entries[first..first + (1 << rest)].fill((value as u8, length));
        }
        Codes { bits, entries }
    }

    /// (value, length) of the code at the top of a word; length 0 where there is none.
    #[inline(always)]
    pub(crate) fn find(&self, window: u64) -> (u8, u8) {
        self.entries[(window >> (64 - self.bits)) as usize]
    }
}

pub(crate) static MCBPC_INTER_CODES: LazyLock<Codes> =
    LazyLock::new(|| Codes::of(MCBPC_INTER.into_iter(), 13));
pub(crate) static CBPY_CODES: LazyLock<Codes> = LazyLock::new(|| Codes::of(CBPY.into_iter(), 6));
pub(crate) static MVD_CODES: LazyLock<Codes> = LazyLock::new(|| Codes::of(MVD.into_iter(), 12));
pub(crate) static DC_SIZE_CODES: LazyLock<[Codes; 2]> =
    LazyLock::new(|| DC_SIZE.map(|codes| Codes::of(codes.into_iter(), 12)));

/// A transform coefficient: how many zeros come before it, whether it is the last of its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Coefficient {
    pub(crate) last: bool,
    pub(crate) run: u8,
    pub(crate) level: u8,
}

/// Codes of the coefficients of intra or of other blocks.
pub(crate) struct CoefficientCodes {
    codes: Codes,
    coefficients: Vec<Coefficient>,
    /// The longest run by LAST and LEVEL, for escape codes of type 2.
    longest_run: [[u8; 32]; 2],
    /// Coefficients by the next [`STEP_BITS`] bits.
    steps: Vec<Step>,
}

/// The longest code of a coefficient with its sign.
const STEP_BITS: u32 = 13;

/// All coefficients of a block that lie whole within the next [`STEP_BITS`] bits: bits 0 to 3 hold their length,
/// bits 4 to 10 the places that they take with the zeros before them, bit 15 LAST of the last one.
#[derive(Clone, Copy)]
pub(crate) struct Step(u16);

impl Step {
    fn of(codes: &CoefficientCodes, window: u64) -> Self {
        let (mut length, mut places, mut last) = (0, 0, false);
        while let (false, Some((Symbol::Coefficient(found), bits))) =
            (last, codes.find(window << length))
        {
            if length + bits + 1 > STEP_BITS {
                break;
            }
            length += bits + 1;
            places += u16::from(found.run) + 1;
            last = found.last;
        }
        Step(length as u16 | places << 4 | u16::from(last) << 15)
    }

    /// Length in bits; 0 where no coefficient, or an escape code, is next.
    #[inline(always)]
    pub(crate) fn length(self) -> u32 {
        u32::from(self.0 & 15)
    }

    #[inline(always)]
    pub(crate) fn places(self) -> u32 {
        u32::from(self.0 >> 4 & 127)
    }

    #[inline(always)]
    pub(crate) fn last(self) -> bool {
        self.0 >> 15 == 1
    }
}

/// What a code of [`CoefficientCodes`] stands for.
pub(crate) enum Symbol {
    Coefficient(Coefficient),
    Escape,
}

impl CoefficientCodes {
    fn of(table: &[(u8, u8, u8, u16, u8); 102]) -> Self {
        let codes = table.iter().map(|&(.., code, length)| (code, length));
        let mut longest_run = [[0; 32]; 2];
        for &(last, run, level, ..) in table {
            let longest = &mut longest_run[usize::from(last)][usize::from(level)];
            *longest = run.max(*longest);
        }
        let mut codes = CoefficientCodes {
            codes: Codes::of(codes.chain([ESCAPE]), 12),
            coefficients: table
                .iter()
                .map(|&(last, run, level, ..)| Coefficient {
                    last: last == 1,
                    run,
                    level,
                })
                .collect(),
            longest_run,
            steps: Vec::new(),
        };
        let windows = (0..1u64 << STEP_BITS).map(|bits| bits << (64 - STEP_BITS));
        codes.steps = windows.map(|window| Step::of(&codes, window)).collect();
        codes
    }

    /// The coefficients at the top of a word.
    #[inline(always)]
    pub(crate) fn step(&self, window: u64) -> Step {
        self.steps[(window >> (64 - STEP_BITS)) as usize]
    }

    /// The symbol of the code at the top of a word, and its length; None where there is no such code.
    #[inline(always)]
    pub(crate) fn find(&self, window: u64) -> Option<(Symbol, u32)> {
        let (value, length) = self.codes.find(window);
        if length == 0 {
            return None;
        }
        let symbol = match self.coefficients.get(usize::from(value)) {
            Some(&coefficient) => Symbol::Coefficient(coefficient),
            None => Symbol::Escape,
        };
        Some((symbol, u32::from(length)))
    }

    /// The run of an escape code of type 2 (7.4.1.3): longer than all that have a code.
    pub(crate) fn escaped_run(&self, coefficient: Coefficient) -> u8 {
        coefficient.run
            + 1
            + self.longest_run[usize::from(coefficient.last)][usize::from(coefficient.level)]
    }
}

pub(crate) static INTRA_CODES: LazyLock<CoefficientCodes> =
    LazyLock::new(|| CoefficientCodes::of(&INTRA_TCOEF));
pub(crate) static INTER_CODES: LazyLock<CoefficientCodes> =
    LazyLock::new(|| CoefficientCodes::of(&INTER_TCOEF));

#[cfg(test)]
mod tests {
    use super::*;

    fn is_prefix_free(codes: &[(u16, u8)]) -> bool {
        codes
            .iter()
            .filter(|(_, length)| *length > 0)
            .enumerate()
            .all(|(number, &(code, length))| {
                codes
                    .iter()
                    .filter(|(_, other)| *other > 0)
                    .enumerate()
                    .all(|(other, &(longer, bits))| {
                        other == number || bits < length || longer >> (bits - length) != code
                    })
            })
    }

    #[test]
    fn no_code_begins_another() {
        for table in [&INTRA_TCOEF, &INTER_TCOEF] {
            let mut codes: Vec<_> = table
                .iter()
                .map(|&(.., code, length)| (code, length))
                .collect();
            codes.push(ESCAPE);
            assert!(is_prefix_free(&codes));
        }
        for codes in [&MCBPC_INTER[..], &CBPY, &MVD, &DC_SIZE[0], &DC_SIZE[1]] {
            assert!(is_prefix_free(codes));
        }
    }
}
