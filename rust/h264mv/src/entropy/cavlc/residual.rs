//! residual() in CAVLC (clauses 7.3.5.3.2 and 9.2).

use bitstream::{BitReader, Malformed};

use super::lookup::{
    RUN_BEFORE, TOKEN, TOKEN_DC420, TOKEN_DC422, TOKEN_FIXED, TOTAL_ZEROS, TOTAL_ZEROS_DC420,
    TOTAL_ZEROS_DC422,
};
use crate::motion::context::MbContext;

/// Number of coefficients of the blocks of a plane and of its neighbours: index (y + 1) * 8 + x + 1; the
/// neighbours are at x = -1 and y = -1.
type CountMap = [u8; 40];

/// Count of an unavailable neighbour.
const UNAVAILABLE: u8 = 0x80;

/// Parses residual() of the current macroblock and sets its coefficient counts.
#[inline(always)]
pub(crate) fn residual(
    bits: &mut BitReader,
    cx: &mut MbContext,
    intra16x16: bool,
) -> Result<(), Malformed> {
    let mut counts = [0u8; 48];
    let mut r = bits.clone();
    let planes = if cx.chroma_array_type == 3 { 3 } else { 1 };
    for plane in 0..planes {
        luma(&mut r, cx, plane, intra16x16, &mut counts)?;
    }
    if matches!(cx.chroma_array_type, 1 | 2) && cx.cur.cbp >> 4 != 0 {
        chroma(&mut r, cx, &mut counts)?;
    }
    *bits = r;
    cx.counts[cx.slot] = counts;
    Ok(())
}

/// Counts of the neighbours for plane `comp` of `w` x `h` blocks.
#[inline(always)]
fn load_map(cx: &MbContext, comp: usize, w: usize, h: usize) -> CountMap {
    let none = cx.none();
    let mut map = [0u8; 40];
    if cx.b == none {
        map[1..5].fill(UNAVAILABLE);
    } else {
        let from = comp * 16 + (h - 1) * 4;
        map[1..5].copy_from_slice(&cx.counts[cx.b][from..from + 4]);
    }
    for y in 0..h {
        let (mb, row) = if cx.pairs[0].available {
            cx.left::<true>(y * 4, h * 4)
        } else {
            (cx.a, y * 4)
        };
        map[(y + 1) * 8] = if mb == none {
            UNAVAILABLE
        } else {
            cx.counts[mb][comp * 16 + row / 4 * 4 + w - 1]
        };
    }
    map
}

/// nC of the block at index `at` (clause 9.2.1).
#[inline(always)]
fn predict_count(map: &CountMap, at: usize) -> usize {
    let (a, b) = (map[at - 1], map[at - 8]);
    let sum = (a & 0x7f) + (b & 0x7f);
    // One of them is unavailable and counts 0: the sum is the count of the other.
    if (a | b) & UNAVAILABLE != 0 {
        sum as usize
    } else {
        (sum as usize + 1) >> 1
    }
}

/// Blocks of plane 0, or of Cb and Cr in 4:4:4.
#[inline(always)]
fn luma(
    r: &mut BitReader,
    cx: &MbContext,
    plane: usize,
    intra16x16: bool,
    counts: &mut [u8; 48],
) -> Result<(), Malformed> {
    if !intra16x16 && cx.cur.cbp & 15 == 0 {
        return Ok(());
    }
    let mut map = load_map(cx, plane, 4, 4);
    if intra16x16 {
        block(r, predict_count(&map, 9), 16)?;
    }
    let size = if intra16x16 { 15 } else { 16 };
    for b8 in 0..4 {
        if cx.cur.cbp >> b8 & 1 == 0 {
            continue;
        }
        let corner = (b8 >> 1) * 16 + (b8 & 1) * 2 + 9;
        for at in [corner, corner + 1, corner + 8, corner + 9] {
            map[at] = block(r, predict_count(&map, at), size)?;
        }
    }
    for y in 0..4 {
        let to = plane * 16 + y * 4;
        counts[to..to + 4].copy_from_slice(&map[(y + 1) * 8 + 1..][..4]);
    }
    Ok(())
}

/// Chroma DC and AC blocks of 4:2:0 and 4:2:2.
#[inline(always)]
fn chroma(r: &mut BitReader, cx: &MbContext, counts: &mut [u8; 48]) -> Result<(), Malformed> {
    let tall = cx.chroma_array_type == 2;
    for _ in 0..2 {
        chroma_dc(r, tall)?;
    }
    if cx.cur.cbp >> 4 != 2 {
        return Ok(());
    }
    let h = if tall { 4 } else { 2 };
    for comp in 1..3 {
        let mut map = load_map(cx, comp, 2, h);
        for y in 0..h {
            for at in [(y + 1) * 8 + 1, (y + 1) * 8 + 2] {
                map[at] = block(r, predict_count(&map, at), 15)?;
            }
            let to = comp * 16 + y * 4;
            counts[to..to + 2].copy_from_slice(&map[(y + 1) * 8 + 1..][..2]);
        }
    }
    Ok(())
}

/// coeff_token: TotalCoeff and TrailingOnes.
#[inline(always)]
fn coeff_token(r: &mut BitReader, table: &[u16; 128]) -> Result<(usize, usize), Malformed> {
    let window = r.window();
    let zeros = window.leading_zeros().min(15) as usize;
    let index = zeros * 8 + ((window << (zeros + 1)) >> 61) as usize;
    let entry = table[index & 127];
    if entry == 0 {
        return Err(Malformed("coeff_token"));
    }
    r.skip((entry >> 8) as u32);
    Ok(((entry >> 2 & 31) as usize, (entry & 3) as usize))
}

/// residual_block_cavlc() of up to `size` coefficients for nC `count`; returns TotalCoeff.
#[inline(always)]
fn block(r: &mut BitReader, count: usize, size: usize) -> Result<u8, Malformed> {
    let (total, ones) = if count >= 8 {
        let value = TOKEN_FIXED[r.get(6) as usize & 63] as usize;
        (value >> 2, value & 3)
    } else {
        coeff_token(r, &TOKEN[(count >= 2) as usize + (count >= 4) as usize])?
    };
    if total == 0 {
        return Ok(0);
    }
    if total > size {
        return Err(Malformed("coeff_token"));
    }
    levels(r, total, ones)?;
    if total < size {
        let entry = TOTAL_ZEROS[total - 1][(r.window() >> 55) as usize];
        runs(r, entry, total, size)?;
    }
    Ok(total as u8)
}

/// residual_block_cavlc() of chroma DC; `tall` for 4:2:2.
fn chroma_dc(r: &mut BitReader, tall: bool) -> Result<(), Malformed> {
    let (table, size) = if tall {
        (&TOKEN_DC422, 8)
    } else {
        (&TOKEN_DC420, 4)
    };
    let (total, ones) = coeff_token(r, table)?;
    if total == 0 {
        return Ok(());
    }
    if total > size {
        return Err(Malformed("coeff_token"));
    }
    levels(r, total, ones)?;
    if total < size {
        let entry = if tall {
            TOTAL_ZEROS_DC422[total - 1][(r.window() >> 59) as usize]
        } else {
            TOTAL_ZEROS_DC420[total - 1][(r.window() >> 61) as usize]
        };
        runs(r, entry, total, size)?;
    }
    Ok(())
}

/// Signs of trailing ones, level_prefix and level_suffix (clause 9.2.2).
#[inline(always)]
fn levels(r: &mut BitReader, total: usize, ones: usize) -> Result<(), Malformed> {
    r.skip(ones as u32);
    let mut suffix_length = (total > 10 && ones < 3) as u32;
    for i in ones..total {
        let window = r.window();
        let prefix = window.leading_zeros();
        if prefix > 28 {
            return Err(Malformed("level_prefix"));
        }
        let suffix_size = match prefix {
            14 if suffix_length == 0 => 4,
            0..=14 => suffix_length,
            _ => prefix - 3,
        };
        let length = prefix + 1 + suffix_size;
        // A prefix of 15 and more sets the size of its suffix: up to 54 bits in total, all in the window.
        let suffix = if suffix_size == 0 {
            0
        } else {
            ((window << (prefix + 1)) >> (64 - suffix_size)) as u32
        };
        r.skip(length);
        let mut code = (prefix.min(15) << suffix_length) + suffix;
        if prefix >= 15 && suffix_length == 0 {
            code += 15;
        }
        if prefix >= 16 {
            code += (1 << (prefix - 3)) - 4096;
        }
        if i == ones && ones < 3 {
            code += 2;
        }
        let magnitude = (code >> 1) + 1;
        if suffix_length == 0 {
            suffix_length = 1;
        }
        if magnitude > (3 << (suffix_length - 1)) && suffix_length < 6 {
            suffix_length += 1;
        }
    }
    Ok(())
}

/// total_zeros, already looked up as `entry`, and run_before (clause 9.2.3).
#[inline(always)]
fn runs(r: &mut BitReader, entry: u8, total: usize, size: usize) -> Result<(), Malformed> {
    if entry == 0 {
        return Err(Malformed("total_zeros"));
    }
    r.skip((entry >> 4) as u32);
    let mut zeros_left = (entry & 15) as usize;
    if total + zeros_left > size {
        return Err(Malformed("total_zeros"));
    }
    let mut remaining = total - 1;
    while zeros_left > 0 && remaining > 0 {
        let entry = RUN_BEFORE[zeros_left.min(7) - 1][(r.window() >> 53) as usize];
        let run = (entry & 15) as usize;
        if entry == 0 || run > zeros_left {
            return Err(Malformed("run_before"));
        }
        r.skip((entry >> 4) as u32);
        zeros_left -= run;
        remaining -= 1;
    }
    Ok(())
}
