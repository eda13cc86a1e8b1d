//! Lookup tables for the code words of CAVLC, built at compile time.

use super::codes;
use super::codes::Code;

/// coeff_token by leading zeros (0 to 15) and the three bits after the first 1: length in the high byte,
/// TotalCoeff * 4 + TrailingOnes in the low byte; 0 for no code.
type TokenTable = [u16; 128];

const fn token_table(list: &[Code]) -> TokenTable {
    let mut table = [0u16; 128];
    let mut i = 0;
    while i < list.len() {
        let (length, bits, value) = list[i];
        let word = (bits as u32) << (32 - length as u32);
        if word == 0 {
            // A code of zeros only also stands for all longer runs of zeros.
            let mut at = length as usize * 8;
            while at < 128 {
                table[at] = (length as u16) << 8 | value as u16;
                at += 1;
            }
            i += 1;
            continue;
        }
        let zeros = word.leading_zeros() as usize;
        // Bits of the code after its first 1; the rest of the three may have any value.
        let tail = length as usize - zeros - 1;
        let mut free = 0;
        while free < 1 << (3 - tail) {
            let index = ((word << (zeros + 1)) >> 29) as usize | free;
            table[zeros * 8 + index] = (length as u16) << 8 | value as u16;
            free += 1;
        }
        i += 1;
    }
    table
}

/// Codes of at most `N.ilog2()` bits by the next bits: length * 16 + value; 0 for no code.
const fn direct_table<const N: usize>(list: &[Code]) -> [u8; N] {
    let mut table = [0u8; N];
    let width = N.ilog2();
    let mut i = 0;
    while i < list.len() {
        let (length, bits, value) = list[i];
        let from = (bits as usize) << (width - length as u32);
        let mut at = from;
        while at < from + (1 << (width - length as u32)) {
            table[at] = length << 4 | value;
            at += 1;
        }
        i += 1;
    }
    table
}

const fn direct_tables<const N: usize, const M: usize>(lists: &[&[Code]; M]) -> [[u8; N]; M] {
    let mut tables = [[0u8; N]; M];
    let mut i = 0;
    while i < M {
        tables[i] = direct_table(lists[i]);
        i += 1;
    }
    tables
}

/// coeff_token for nC 0 and 1, 2 and 3, 4 to 7.
pub(crate) static TOKEN: [TokenTable; 3] = [
    token_table(&codes::COEFF_TOKEN_N0),
    token_table(&codes::COEFF_TOKEN_N2),
    token_table(&codes::COEFF_TOKEN_N4),
];
pub(crate) static TOKEN_DC420: TokenTable = token_table(&codes::COEFF_TOKEN_DC420);
pub(crate) static TOKEN_DC422: TokenTable = token_table(&codes::COEFF_TOKEN_DC422);

/// coeff_token for nC >= 8: six bits.
pub(crate) static TOKEN_FIXED: [u8; 64] = fixed_table();

const fn fixed_table() -> [u8; 64] {
    let mut table = [0u8; 64];
    let mut i = 0;
    while i < codes::COEFF_TOKEN_N8.len() {
        let (_, bits, value) = codes::COEFF_TOKEN_N8[i];
        table[bits as usize] = value;
        i += 1;
    }
    table
}

/// total_zeros by tzVlcIndex - 1 and nine bits.
pub(crate) static TOTAL_ZEROS: [[u8; 512]; 15] = direct_tables(&codes::TOTAL_ZEROS_4X4);
pub(crate) static TOTAL_ZEROS_DC420: [[u8; 8]; 3] = direct_tables(&codes::TOTAL_ZEROS_DC420);
pub(crate) static TOTAL_ZEROS_DC422: [[u8; 32]; 7] = direct_tables(&codes::TOTAL_ZEROS_DC422);

/// run_before by Min(zerosLeft, 7) - 1 and eleven bits.
pub(crate) static RUN_BEFORE: [[u8; 2048]; 7] = direct_tables(&codes::RUN_BEFORE);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_coeff_token_has_an_entry() {
        for (list, table) in [
            (&codes::COEFF_TOKEN_N0, &TOKEN[0]),
            (&codes::COEFF_TOKEN_N2, &TOKEN[1]),
            (&codes::COEFF_TOKEN_N4, &TOKEN[2]),
        ] {
            for &(length, bits, value) in list.iter() {
                let word = (bits as u32) << (32 - length as u32);
                let zeros = word.leading_zeros() as usize;
                let index = zeros * 8 + ((word << (zeros + 1)) >> 29) as usize;
                assert_eq!(table[index], (length as u16) << 8 | value as u16);
            }
        }
    }

    #[test]
    fn complete_prefix_codes_fill_their_tables() {
        assert!(TOTAL_ZEROS_DC420.iter().flatten().all(|&e| e != 0));
        assert!(RUN_BEFORE[..6].iter().flatten().all(|&e| e != 0));
    }
}
