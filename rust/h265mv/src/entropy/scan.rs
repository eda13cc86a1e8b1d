//! Scan orders of 4x4 coefficients and of sub-blocks (clause 6.5.3 to 6.5.5).

/// Positions of an N x N block in scan order as (y << 4 | x), and its inverse.
#[derive(Debug)]
pub(crate) struct Scan<const N: usize> {
    pub at: [u8; N],
    /// Place in the order by y * side + x.
    pub place: [u8; N],
}

/// scanIdx.
pub(crate) const UP_RIGHT_DIAGONAL: usize = 0;
const HORIZONTAL: usize = 1;

const fn scan<const N: usize>(side: usize, scan_idx: usize) -> Scan<N> {
    let mut scan = Scan {
        at: [0; N],
        place: [0; N],
    };
    let mut place = 0;
    let mut line = 0;
    while line < 2 * side - 1 {
        let mut step = 0;
        while step < side {
            let (x, y) = match scan_idx {
                UP_RIGHT_DIAGONAL => (step, line.wrapping_sub(step)),
                HORIZONTAL => (step, line),
                _ => (line, step),
            };
            if x < side && y < side {
                scan.at[place] = (y << 4 | x) as u8;
                scan.place[y * side + x] = place as u8;
                place += 1;
            }
            step += 1;
        }
        line += 1;
    }
    scan
}

/// ScanOrder[2], by scanIdx: coefficients of a 4x4 sub-block.
pub(crate) static SCAN_4X4: [Scan<16>; 3] = [scan(4, 0), scan(4, 1), scan(4, 2)];
static SCAN_2X2: [Scan<64>; 3] = [scan(2, 0), scan(2, 1), scan(2, 2)];
static SCAN_1X1: Scan<64> = scan(1, 0);
static SUB_BLOCKS_4X4: Scan<64> = scan(4, 0);
static SUB_BLOCKS_8X8: Scan<64> = scan(8, 0);

/// Order of the sub-blocks of a transform block: only those of 8x8 samples and less depend on scanIdx.
pub(crate) fn sub_blocks(log2_size: u32, scan_idx: usize) -> &'static Scan<64> {
    match log2_size {
        2 => &SCAN_1X1,
        3 => &SCAN_2X2[scan_idx],
        4 => &SUB_BLOCKS_4X4,
        _ => &SUB_BLOCKS_8X8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagonal_goes_up_and_right() {
        let first = &SCAN_4X4[UP_RIGHT_DIAGONAL].at[..6];
        assert_eq!(first, [0x00, 0x10, 0x01, 0x20, 0x11, 0x02]);
        assert_eq!(SCAN_4X4[HORIZONTAL].at[4], 0x10);
        assert_eq!(SCAN_4X4[2].at[1], 0x10);
    }
}
