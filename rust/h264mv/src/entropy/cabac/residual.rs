//! residual() in CABAC: blocks of a macroblock and their coded_block_flag (clauses 7.3.5.3 and 9.3.3.1.1.9).

use bitstream::cabac::Engine;
use bitstream::Malformed;

use super::contexts::BlockContexts;
use super::residual_block::{kind, residual_block};
use crate::motion::context::MbContext;
use crate::motion::macroblock_info::{flag, MbInfo};

/// coded_block_flag of the blocks of a macroblock and of its neighbours, bit (y + 1) * 8 + x + 1; the
/// neighbours are at x = -1 and y = -1.
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
    cx: &mut MbContext,
    intra: bool,
    intra16x16: bool,
) -> Result<(), Malformed> {
    let mut r = Residual {
        engine,
        contexts,
        field: cx.field_coded(),
    };
    let cbp = cx.cur.cbp;
    let planes = if cx.chroma_array_type == 3 { 3 } else { 1 };
    let mut legal = true;
    for plane in 0..planes {
        legal &= r.luma(cx, plane, intra, intra16x16);
    }
    if matches!(cx.chroma_array_type, 1 | 2) && cbp >> 4 != 0 {
        legal &= r.chroma(cx, intra);
    }
    if legal {
        Ok(())
    } else {
        Err(Malformed("coeff_abs_level_minus1"))
    }
}

/// Flags of the neighbours for plane `comp` of `w` x `h` blocks.
#[inline(always)]
fn load_map(cx: &MbContext, comp: usize, w: usize, h: usize, intra: bool) -> FlagMap {
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

/// Flags of the macroblock itself, bit y * 4 + x.
#[inline(always)]
fn store_map(map: FlagMap) -> u16 {
    let m = map >> 9;
    ((m & 15) | (m >> 4 & 0xf0) | (m >> 8 & 0xf00) | (m >> 12 & 0xf000)) as u16
}

/// ctxIdxInc of coded_block_flag of the block at `bit`.
#[inline(always)]
fn increment(map: FlagMap, bit: usize) -> usize {
    ((map >> (bit - 1) & 1) | (map >> (bit - 8) & 1) << 1) as usize
}

/// ctxIdxInc of coded_block_flag of a DC block.
#[inline(always)]
fn dc_increment(cx: &MbContext, comp: usize, intra: bool) -> usize {
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

    /// residual_block_cabac() after coded_block_flag; false if a level is longer than any legal one.
    #[inline(always)]
    fn block<const KIND: u8, const SIZE: usize>(&mut self, category: usize) -> bool {
        let contexts = &mut self.contexts.0[category];
        let map = &mut contexts.maps[self.field as usize];
        residual_block::<KIND, SIZE>(self.engine, map, &mut contexts.level)
    }

    /// residual_luma() of plane 0, or of Cb and Cr in 4:4:4.
    #[inline(always)]
    fn luma(&mut self, cx: &mut MbContext, plane: usize, intra: bool, intra16x16: bool) -> bool {
        let first = [0, 6, 10][plane];
        let mut legal = true;
        if intra16x16 && self.coded(first, dc_increment(cx, plane, intra)) {
            cx.cur.dc |= 1 << plane;
            legal &= self.block::<{ kind::PLAIN }, 16>(first);
        }
        if cx.cur.cbp & 15 == 0 {
            return legal;
        }
        if cx.cur.has(flag::T8X8) {
            return legal & self.luma_8x8(cx, plane, intra);
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
                    legal &= if intra16x16 {
                        self.block::<{ kind::PLAIN }, 15>(category)
                    } else {
                        self.block::<{ kind::PLAIN }, 16>(category)
                    };
                }
            }
        }
        cx.cur.cbf[plane] = store_map(map);
        legal
    }

    /// 8x8 blocks: their flags are coded in 4:4:4 only, else inferred from coded_block_pattern.
    fn luma_8x8(&mut self, cx: &mut MbContext, plane: usize, intra: bool) -> bool {
        let category = [5, 9, 13][plane];
        let coded = cx.chroma_array_type == 3;
        let mut map = if coded {
            load_map_8x8(cx, plane, intra)
        } else {
            0
        };
        let mut legal = true;
        for b8 in 0..4 {
            if cx.cur.cbp >> b8 & 1 == 0 {
                continue;
            }
            let corner = (b8 >> 1) * 16 + (b8 & 1) * 2 + 9;
            if coded && !self.coded(category, increment(map, corner)) {
                continue;
            }
            map |= 0x303 << corner;
            legal &= if self.field {
                self.block::<{ kind::LUMA_8X8_FIELD }, 64>(category)
            } else {
                self.block::<{ kind::LUMA_8X8 }, 64>(category)
            };
        }
        cx.cur.cbf[plane] = store_map(map);
        legal
    }

    /// Chroma DC and AC blocks of 4:2:0 and 4:2:2.
    #[inline(always)]
    fn chroma(&mut self, cx: &mut MbContext, intra: bool) -> bool {
        let tall = cx.chroma_array_type == 2;
        let mut legal = true;
        for comp in 1..3 {
            if self.coded(3, dc_increment(cx, comp, intra)) {
                cx.cur.dc |= 1 << comp;
                legal &= if tall {
                    self.block::<{ kind::CHROMA_DC_422 }, 8>(3)
                } else {
                    self.block::<{ kind::CHROMA_DC_420 }, 4>(3)
                };
            }
        }
        if cx.cur.cbp >> 4 != 2 {
            return legal;
        }
        let h = if tall { 4 } else { 2 };
        for comp in 1..3 {
            let mut map = load_map(cx, comp, 2, h, intra);
            for y in 0..h {
                for bit in [(y + 1) * 8 + 1, (y + 1) * 8 + 2] {
                    let inc = increment(map, bit);
                    if self.coded(4, inc) {
                        map |= 1 << bit;
                        legal &= self.block::<{ kind::PLAIN }, 15>(4);
                    }
                }
            }
            cx.cur.cbf[comp] = store_map(map);
        }
        legal
    }
}

/// Flags of a neighbouring macroblock for 8x8 blocks of 4:4:4. Without transform_size_8x8_flag they are
/// 0, except for I_PCM; `early_x264` treats such a neighbour as unavailable.
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

/// Flags of the neighbours for 8x8 blocks of 4:4:4.
fn load_map_8x8(cx: &MbContext, plane: usize, intra: bool) -> FlagMap {
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
        let macroblock = |flags: u8, cbf: u16| {
            let mut info = MbInfo::BLANK;
            info.head.flags = flags;
            info.head.cbf[1] = cbf;
            info
        };
        let large = macroblock(flag::T8X8 | flag::INTRA, 0x30c0);
        let small = macroblock(flag::INTRA, 0x1234);
        let pcm = macroblock(flag::INTRA | flag::PCM, 0xffff);
        // Neighbour; flags in inter and intra macroblocks by the standard, and by early builds of x264.
        let cases = [
            (None, [0, 0xffff], [0, 0xffff]),
            (Some(&large), [0x30c0; 2], [0x30c0; 2]),
            (Some(&small), [0, 0], [0, 0xffff]),
            (Some(&pcm), [0xffff; 2], [0, 0xffff]),
        ];
        for (neighbour, standard, early) in cases {
            for (intra, column) in [(false, 0), (true, 1)] {
                assert_eq!(flags_8x8(neighbour, 1, intra, false), standard[column]);
                assert_eq!(flags_8x8(neighbour, 1, intra, true), early[column]);
            }
        }
    }
}
