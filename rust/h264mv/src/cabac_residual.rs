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

/// First contexts of a block category for frame or field macroblocks.
#[derive(Clone, Copy)]
struct Bases {
    flag: usize,
    significant: usize,
    last: usize,
    level: usize,
}

fn bases(category: usize, field: bool) -> Bases {
    let row = RESIDUAL_CTX[category];
    let pick = field as usize;
    Bases {
        flag: row[0] as usize,
        significant: row[1 + pick] as usize,
        last: row[3 + pick] as usize,
        level: row[5] as usize,
    }
}

/// Coded block flags around and inside the macroblock: bit (y + 1) * 8 + x + 1, neighbours at -1.
type FlagMap = u64;

struct Residual<'r, 'd> {
    engine: &'r mut Engine<'d>,
    contexts: &'r mut Contexts,
    field: bool,
}

/// Parses residual() of the current macroblock and sets its coded block flags.
#[inline(always)]
pub(crate) fn residual(
    engine: &mut Engine,
    contexts: &mut Contexts,
    cx: &mut Context,
    intra: bool,
    intra16x16: bool,
) -> Result<(), Fault> {
    // A local copy lets the engine live in registers.
    let mut local = *engine;
    let mut r = Residual {
        engine: &mut local,
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
    *engine = local;
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
    /// residual_luma() of plane 0, or of Cb and Cr in 4:4:4.
    #[inline(always)]
    fn luma(&mut self, cx: &mut Context, plane: usize, intra: bool, intra16x16: bool) -> bool {
        let first = [0, 6, 10][plane];
        let mut good = true;
        if intra16x16 {
            let b = bases(first, self.field);
            let inc = dc_increment(cx, plane, intra);
            if self.engine.decision(self.contexts, b.flag + inc) == 1 {
                cx.cur.dc |= 1 << plane;
                good &= self.block::<{ kind::PLAIN }>(b, 16);
            }
        }
        if cx.cur.cbp & 15 == 0 {
            return good;
        }
        if cx.cur.has(flag::T8X8) {
            return good & self.luma_8x8(cx, plane, intra);
        }
        let mut map = load_map(cx, plane, 4, 4, intra);
        let (category, count) = if intra16x16 {
            (first + 1, 15)
        } else {
            (first + 2, 16)
        };
        let b = bases(category, self.field);
        for b8 in 0..4 {
            if cx.cur.cbp >> b8 & 1 == 0 {
                continue;
            }
            let corner = (b8 >> 1) * 16 + (b8 & 1) * 2 + 9;
            for bit in [corner, corner + 1, corner + 8, corner + 9] {
                let inc = increment(map, bit);
                if self.engine.decision(self.contexts, b.flag + inc) == 1 {
                    map |= 1 << bit;
                    good &= self.block::<{ kind::PLAIN }>(b, count);
                }
            }
        }
        cx.cur.cbf[plane] = store_map(map);
        good
    }

    /// 8x8 blocks: only 4:4:4 codes their flags, else the coded block pattern implies them.
    fn luma_8x8(&mut self, cx: &mut Context, plane: usize, intra: bool) -> bool {
        let b = bases([5, 9, 13][plane], self.field);
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
            if coded
                && self
                    .engine
                    .decision(self.contexts, b.flag + increment(map, corner))
                    == 0
            {
                continue;
            }
            map |= 0x303 << corner;
            good &= if self.field {
                self.block::<{ kind::LUMA_8X8_FIELD }>(b, 64)
            } else {
                self.block::<{ kind::LUMA_8X8 }>(b, 64)
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
        let b = bases(3, self.field);
        for comp in 1..3 {
            let inc = dc_increment(cx, comp, intra);
            if self.engine.decision(self.contexts, b.flag + inc) == 1 {
                cx.cur.dc |= 1 << comp;
                good &= if tall {
                    self.block::<{ kind::CHROMA_DC_422 }>(b, 8)
                } else {
                    self.block::<{ kind::CHROMA_DC_420 }>(b, 4)
                };
            }
        }
        if cx.cur.cbp >> 4 != 2 {
            return good;
        }
        let b = bases(4, self.field);
        let h = if tall { 4 } else { 2 };
        for comp in 1..3 {
            let mut map = load_map(cx, comp, 2, h, intra);
            for y in 0..h {
                for bit in [(y + 1) * 8 + 1, (y + 1) * 8 + 2] {
                    let inc = increment(map, bit);
                    if self.engine.decision(self.contexts, b.flag + inc) == 1 {
                        map |= 1 << bit;
                        good &= self.block::<{ kind::PLAIN }>(b, 15);
                    }
                }
            }
            cx.cur.cbf[comp] = store_map(map);
        }
        good
    }

    /// residual_block_cabac() after coded_block_flag, of `size` coefficients.
    #[inline(always)]
    fn block<const KIND: u8>(&mut self, b: Bases, size: usize) -> bool {
        let count = self.significance_map::<KIND>(b, size);
        let few = if KIND == kind::CHROMA_DC_420 || KIND == kind::CHROMA_DC_422 {
            3
        } else {
            4
        };
        self.levels(b.level, count, few)
    }

    /// How many coefficients are significant.
    #[inline(always)]
    fn significance_map<const KIND: u8>(&mut self, b: Bases, size: usize) -> u32 {
        let mut count = 0;
        for i in 0..size - 1 {
            let (sig, last) = match KIND {
                kind::PLAIN => (i, i),
                kind::CHROMA_DC_420 => (i.min(2), i.min(2)),
                kind::CHROMA_DC_422 => ((i / 2).min(2), (i / 2).min(2)),
                kind::LUMA_8X8 => (SIG8_FRAME[i] as usize, LAST8[i] as usize),
                _ => (SIG8_FIELD[i] as usize, LAST8[i] as usize),
            };
            if self.engine.decision(self.contexts, b.significant + sig) == 1 {
                count += 1;
                if self.engine.decision(self.contexts, b.last + last) == 1 {
                    return count;
                }
            }
        }
        count + 1
    }

    /// coeff_abs_level_minus1 and coeff_sign_flag of `count` coefficients.
    #[inline(always)]
    fn levels(&mut self, base: usize, count: u32, few: usize) -> bool {
        let mut ones = 1;
        let mut greater = 0;
        for _ in 0..count {
            let inc = if greater > 0 { 0 } else { ones.min(4) };
            if self.engine.decision(self.contexts, base + inc) == 0 {
                ones += 1;
            } else {
                let ctx = base + 5 + greater.min(few);
                let mut value = 1;
                while value < 14 && self.engine.decision(self.contexts, ctx) == 1 {
                    value += 1;
                }
                if value == 14 && !self.escape() {
                    return false;
                }
                greater += 1;
            }
            self.engine.bypass();
        }
        true
    }

    /// The Exp-Golomb suffix of a level; false where it is longer than any legal one.
    #[inline(never)]
    fn escape(&mut self) -> bool {
        let mut k = 0;
        while self.engine.bypass() == 1 {
            k += 1;
            if k > 24 {
                return false;
            }
        }
        for _ in 0..k {
            self.engine.bypass();
        }
        true
    }
}

/// As `load_map`, for 8x8 blocks of 4:4:4: a neighbour counts only with transform_size_8x8_flag.
fn load_map_8x8(cx: &Context, plane: usize, intra: bool) -> FlagMap {
    let none = cx.none();
    let flags = |mb: usize| {
        let info: &MbInfo = &cx.info[mb];
        match (mb == none, info.has(flag::T8X8 | flag::PCM)) {
            (true, _) => intra as u64 * 0xffff,
            (false, true) => info.cbf[plane] as u64,
            (false, false) => 0,
        }
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
