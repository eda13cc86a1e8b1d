//! residual() in CABAC: coefficients are read and dropped (clauses 7.3.5.3.3 and 9.3.3.1.3).

use crate::cabac::{Contexts, Engine};
use crate::context::Context;
use crate::entropy::Fault;
use crate::mbinfo::{flag, MbInfo};
use crate::tables::cabac::{LAST8, RESIDUAL_CTX, SIG8_FIELD, SIG8_FRAME};

/// How significance contexts follow from the coefficient's position.
mod kind {
    pub const PLAIN: u8 = 0;
    pub const CHROMA_DC_420: u8 = 1;
    pub const CHROMA_DC_422: u8 = 2;
    pub const LUMA_8X8: u8 = 3;
    pub const LUMA_8X8_FIELD: u8 = 4;
}

/// The contexts of significant_coeff_flag and last_significant_coeff_flag.
#[derive(Debug, Clone, Copy)]
struct Map {
    significant: [u8; 16],
    last: [u8; 16],
}

/// The contexts of a block category (ctxBlockCat): those that follow one another in use lie together.
#[derive(Debug, Clone, Copy)]
struct Category {
    flag: [u8; 16],
    /// Of frame and of field macroblocks.
    maps: [Map; 2],
    level: [u8; 16],
}

/// The contexts of all block categories of a slice.
#[derive(Debug, Clone)]
pub(crate) struct BlockContexts([Category; 14]);

impl BlockContexts {
    /// Takes the contexts of residual blocks out of those of a slice.
    pub fn new(contexts: &Contexts) -> Self {
        let pick = |first: u16| {
            let mut out = [0; 16];
            let from = &contexts[first as usize..];
            let count = from.len().min(16);
            out[..count].copy_from_slice(&from[..count]);
            out
        };
        let category = |row: &[u16; 6]| {
            let map = |field: usize| Map {
                significant: pick(row[1 + field]),
                last: pick(row[3 + field]),
            };
            Category {
                flag: pick(row[0]),
                maps: [map(0), map(1)],
                level: pick(row[5]),
            }
        };
        BlockContexts(std::array::from_fn(|i| category(&RESIDUAL_CTX[i])))
    }
}

/// Coded block flags around and inside the macroblock: bit (y + 1) * 8 + x + 1, neighbours at -1.
type FlagMap = u64;

struct Residual<'r, 'd> {
    engine: &'r mut Engine<'d>,
    contexts: &'r mut BlockContexts,
    field: bool,
}

/// Parses residual() of the current macroblock and sets its coded block flags.
#[inline(always)]
pub(crate) fn residual(
    engine: &mut Engine,
    contexts: &mut BlockContexts,
    cx: &mut Context,
    intra: bool,
    intra16x16: bool,
) -> Result<(), Fault> {
    let mut r = Residual {
        engine,
        contexts,
        field: cx.field_coded(),
    };
    let cbp = cx.cur.cbp;
    let planes = if cx.chroma_array_type == 3 { 3 } else { 1 };
    let mut good = true;
    for plane in 0..planes {
        good &= r.luma(cx, plane, intra, intra16x16);
    }
    if matches!(cx.chroma_array_type, 1 | 2) && cbp >> 4 != 0 {
        good &= r.chroma(cx, intra);
    }
    if good {
        Ok(())
    } else {
        Err("coeff_abs_level_minus1")
    }
}

/// Loads the neighbours' flags of plane `comp`, `w` x `h` blocks.
#[inline(always)]
fn load_map(cx: &Context, comp: usize, w: usize, h: usize, intra: bool) -> FlagMap {
    let none = cx.none();
    let outside = if intra { 0xffffu16 } else { 0 };
    let flags = |mb: usize| {
        if mb == none {
            outside
        } else {
            cx.info[mb].cbf[comp]
        }
    };
    let above = flags(cx.b) >> (4 * (h - 1)) & 15;
    let mut map = (above as u64) << 1;
    if cx.pairs[0].available {
        for y in 0..h {
            let (mb, row) = cx.left::<true>(y * 4, h * 4);
            map |= (flags(mb) as u64 >> (row / 4 * 4 + w - 1) & 1) << ((y + 1) * 8);
        }
        return map;
    }
    let left = flags(cx.a) as u64 >> (w - 1);
    map |= (left & 1) << 8 | (left >> 4 & 1) << 16;
    if h > 2 {
        map |= (left >> 8 & 1) << 24 | (left >> 12 & 1) << 32;
    }
    map
}

/// The macroblock's own flags, bit y * 4 + x.
#[inline(always)]
fn store_map(map: FlagMap) -> u16 {
    let m = map >> 9;
    ((m & 15) | (m >> 4 & 0xf0) | (m >> 8 & 0xf00) | (m >> 12 & 0xf000)) as u16
}

#[inline(always)]
fn increment(map: FlagMap, bit: usize) -> usize {
    ((map >> (bit - 1) & 1) | (map >> (bit - 8) & 1) << 1) as usize
}

/// ctxIdxInc of coded_block_flag of a DC block.
#[inline(always)]
fn dc_increment(cx: &Context, comp: usize, intra: bool) -> usize {
    let none = cx.none();
    let test = |mb: usize| {
        let set = if mb == none {
            intra
        } else {
            cx.info[mb].dc >> comp & 1 == 1
        };
        set as usize
    };
    test(cx.a) + 2 * test(cx.b)
}

impl Residual<'_, '_> {
    /// coded_block_flag.
    #[inline(always)]
    fn coded(&mut self, category: usize, inc: usize) -> bool {
        let state = &mut self.contexts.0[category].flag[inc & 3];
        self.engine.decision(state) == 1
    }

    /// residual_block_cabac() after coded_block_flag; false where a level is longer than any legal one.
    #[inline(always)]
    fn block<const KIND: u8, const SIZE: usize>(&mut self, category: usize) -> bool {
        let contexts = &mut self.contexts.0[category];
        let map = &mut contexts.maps[self.field as usize];
        block::<KIND, SIZE>(self.engine, map, &mut contexts.level)
    }

    /// residual_luma() of plane 0, or of Cb and Cr in 4:4:4.
    #[inline(always)]
    fn luma(&mut self, cx: &mut Context, plane: usize, intra: bool, intra16x16: bool) -> bool {
        let first = [0, 6, 10][plane];
        let mut good = true;
        if intra16x16 && self.coded(first, dc_increment(cx, plane, intra)) {
            cx.cur.dc |= 1 << plane;
            good &= self.block::<{ kind::PLAIN }, 16>(first);
        }
        if cx.cur.cbp & 15 == 0 {
            return good;
        }
        if cx.cur.has(flag::T8X8) {
            return good & self.luma_8x8(cx, plane, intra);
        }
        let mut map = load_map(cx, plane, 4, 4, intra);
        for b8 in 0..4 {
            if cx.cur.cbp >> b8 & 1 == 0 {
                continue;
            }
            let corner = (b8 >> 1) * 16 + (b8 & 1) * 2 + 9;
            for bit in [corner, corner + 1, corner + 8, corner + 9] {
                let inc = increment(map, bit);
                let category = first + 2 - intra16x16 as usize;
                if self.coded(category, inc) {
                    map |= 1 << bit;
                    good &= if intra16x16 {
                        self.block::<{ kind::PLAIN }, 15>(category)
                    } else {
                        self.block::<{ kind::PLAIN }, 16>(category)
                    };
                }
            }
        }
        cx.cur.cbf[plane] = store_map(map);
        good
    }

    /// 8x8 blocks: only 4:4:4 codes their flags, else the coded block pattern implies them.
    fn luma_8x8(&mut self, cx: &mut Context, plane: usize, intra: bool) -> bool {
        let category = [5, 9, 13][plane];
        let coded = cx.chroma_array_type == 3;
        let mut map = if coded {
            load_map_8x8(cx, plane, intra)
        } else {
            0
        };
        let mut good = true;
        for b8 in 0..4 {
            if cx.cur.cbp >> b8 & 1 == 0 {
                continue;
            }
            let corner = (b8 >> 1) * 16 + (b8 & 1) * 2 + 9;
            if coded && !self.coded(category, increment(map, corner)) {
                continue;
            }
            map |= 0x303 << corner;
            good &= if self.field {
                self.block::<{ kind::LUMA_8X8_FIELD }, 64>(category)
            } else {
                self.block::<{ kind::LUMA_8X8 }, 64>(category)
            };
        }
        cx.cur.cbf[plane] = store_map(map);
        good
    }

    /// Chroma DC and AC blocks of 4:2:0 and 4:2:2.
    #[inline(always)]
    fn chroma(&mut self, cx: &mut Context, intra: bool) -> bool {
        let tall = cx.chroma_array_type == 2;
        let mut good = true;
        for comp in 1..3 {
            if self.coded(3, dc_increment(cx, comp, intra)) {
                cx.cur.dc |= 1 << comp;
                good &= if tall {
                    self.block::<{ kind::CHROMA_DC_422 }, 8>(3)
                } else {
                    self.block::<{ kind::CHROMA_DC_420 }, 4>(3)
                };
            }
        }
        if cx.cur.cbp >> 4 != 2 {
            return good;
        }
        let h = if tall { 4 } else { 2 };
        for comp in 1..3 {
            let mut map = load_map(cx, comp, 2, h, intra);
            for y in 0..h {
                for bit in [(y + 1) * 8 + 1, (y + 1) * 8 + 2] {
                    let inc = increment(map, bit);
                    if self.coded(4, inc) {
                        map |= 1 << bit;
                        good &= self.block::<{ kind::PLAIN }, 15>(4);
                    }
                }
            }
            cx.cur.cbf[comp] = store_map(map);
        }
        good
    }
}

/// A block's significance map and levels. A function of its own, with a local engine: so all of it
/// stays in registers.
#[inline(never)]
fn block<const KIND: u8, const SIZE: usize>(
    engine: &mut Engine,
    map: &mut Map,
    level: &mut [u8; 16],
) -> bool {
    let mut local = *engine;
    let count = significance_map::<KIND, SIZE>(&mut local, map);
    let good = levels::<KIND>(&mut local, level, count);
    *engine = local;
    good
}

/// How many coefficients are significant.
#[inline(always)]
fn significance_map<const KIND: u8, const SIZE: usize>(e: &mut Engine, map: &mut Map) -> u32 {
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
        if e.loaded_decision(&mut map.significant[significant & 15]) == 1 {
            count += 1;
            if e.loaded_decision(&mut map.last[last & 15]) == 1 {
                return count;
            }
        }
    }
    count + 1
}

/// Contexts of the first bin of coeff_abs_level_minus1 by what was decoded so far: 0 to 3 counts
/// levels of one, 4 to 7 larger ones (clause 9.3.3.1.3).
const FIRST_BIN: [u8; 8] = [1, 2, 3, 4, 0, 0, 0, 0];
/// Contexts of the other bins, and of those of chroma DC.
const OTHER_BINS: [[u8; 8]; 2] = [[5, 5, 5, 5, 6, 7, 8, 9], [5, 5, 5, 5, 6, 7, 8, 8]];
/// Where a level of one and a larger one lead.
const AFTER: [[u8; 8]; 2] = [[1, 2, 3, 3, 4, 5, 6, 7], [4, 4, 4, 4, 5, 6, 7, 7]];

/// coeff_abs_level_minus1 and coeff_sign_flag of `count` coefficients.
#[inline(always)]
fn levels<const KIND: u8>(e: &mut Engine, level: &mut [u8; 16], count: u32) -> bool {
    let dc = KIND == kind::CHROMA_DC_420 || KIND == kind::CHROMA_DC_422;
    let mut node = 0;
    for _ in 0..count {
        e.refill();
        let first = FIRST_BIN[node] as usize;
        if e.loaded_decision(&mut level[first]) == 0 {
            node = AFTER[0][node] as usize;
        } else {
            let state = &mut level[OTHER_BINS[dc as usize][node] as usize];
            let mut value = 1;
            while value < 14 && e.decision(state) == 1 {
                value += 1;
            }
            if value == 14 && !escape(e) {
                return false;
            }
            node = AFTER[1][node] as usize;
        }
        e.loaded_bypass();
    }
    true
}

/// The Exp-Golomb suffix of a level; false where it is longer than any legal one.
#[inline(always)]
fn escape(e: &mut Engine) -> bool {
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

/// Flags of a neighbouring macroblock for 8x8 blocks of 4:4:4. One without transform_size_8x8_flag
/// has none, unless it is I_PCM; `early_x264` takes it for one that is not available.
fn flags_8x8(neighbour: Option<&MbInfo>, plane: usize, intra: bool, early_x264: bool) -> u64 {
    let missing = intra as u64 * 0xffff;
    match neighbour {
        None => missing,
        Some(info) if info.has(flag::T8X8) => info.cbf[plane] as u64,
        Some(_) if early_x264 => missing,
        Some(info) if info.has(flag::PCM) => info.cbf[plane] as u64,
        Some(_) => 0,
    }
}

/// As `load_map`, for 8x8 blocks of 4:4:4.
fn load_map_8x8(cx: &Context, plane: usize, intra: bool) -> FlagMap {
    let flags = |mb: usize| {
        let neighbour = (mb != cx.none()).then(|| &cx.info[mb]);
        flags_8x8(neighbour, plane, intra, cx.early_x264)
    };
    let mut map = (flags(cx.b) >> 12 & 15) << 1;
    for y in 0..4 {
        let (mb, row) = if cx.pairs[0].available {
            cx.left::<true>(y * 4, 16)
        } else {
            (cx.a, y * 4)
        };
        map |= (flags(mb) >> (row / 4 * 4 + 3) & 1) << ((y + 1) * 8);
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_8x8_blocks() {
        let with = |flags: u8, cbf: u16| {
            let mut info = MbInfo::BLANK;
            info.head.flags = flags;
            info.head.cbf[1] = cbf;
            info
        };
        let large = with(flag::T8X8 | flag::INTRA, 0x30c0);
        let small = with(flag::INTRA, 0x1234);
        let pcm = with(flag::INTRA | flag::PCM, 0xffff);
        // Neighbour; flags as the standard says in inter and intra macroblocks, and by early builds.
        let cases = [
            (None, [0, 0xffff], [0, 0xffff]),
            (Some(&large), [0x30c0; 2], [0x30c0; 2]),
            (Some(&small), [0, 0], [0, 0xffff]),
            (Some(&pcm), [0xffff; 2], [0, 0xffff]),
        ];
        for (neighbour, standard, early) in cases {
            for (intra, at) in [(false, 0), (true, 1)] {
                assert_eq!(flags_8x8(neighbour, 1, intra, false), standard[at]);
                assert_eq!(flags_8x8(neighbour, 1, intra, true), early[at]);
            }
        }
    }
}
