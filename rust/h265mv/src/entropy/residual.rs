//! residual_coding() (clause 7.3.8.11): bins are decoded, coefficients are not built.

use bitstream::cabac::Engine;

use super::offset::*;
use super::scan::{sub_blocks, SCAN_4X4, UP_RIGHT_DIAGONAL};
use super::{Cabac, Contexts};
use bitstream::{Error, Result};

/// More than coeff_abs_level_remaining of any bit depth; coefficients have at most 23 bits.
const MAX_REMAINING: u32 = 1 << 28;

/// How a transform block is coded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    /// log2TrafoSize of the block's own samples.
    pub log2_size: u32,
    pub c_idx: usize,
    pub scan_idx: usize,
    /// transform_skip_flag is present.
    pub may_skip_transform: bool,
    /// explicit_rdpcm_flag is present where the transform is skipped or bypassed.
    pub may_signal_rdpcm: bool,
    /// Signs are never hidden where the transform is skipped or bypassed: implicit RDPCM.
    pub implicit_rdpcm: bool,
    pub transquant_bypass: bool,
}

/// Flags of parameter sets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tools {
    pub sign_data_hiding: bool,
    pub transform_skip_context: bool,
    pub persistent_rice_adaptation: bool,
    pub cabac_bypass_alignment: bool,
    /// log2TransformRange of luma and chroma with extended precision, else None.
    pub extended_range: [Option<u32>; 2],
}

/// sigCtx by prevCsbf (row 4: blocks of 4x4 samples) and position in scan order (9.3.4.2.5).
static SIG_CTX: [[[u8; 16]; 5]; 3] = [sig_ctx(0), sig_ctx(1), sig_ctx(2)];

const CTX_IDX_MAP: [u8; 16] = [0, 1, 4, 5, 2, 3, 4, 5, 6, 6, 8, 8, 7, 7, 8, 8];

const fn sig_ctx(scan_idx: usize) -> [[u8; 16]; 5] {
    let mut table = [[0; 16]; 5];
    let mut n = 0;
    while n < 16 {
        let (x, y) = position_4x4(scan_idx, n);
        table[0][n] = match x + y {
            0 => 2,
            1 | 2 => 1,
            _ => 0,
        };
        table[1][n] = 2u8.saturating_sub(y as u8);
        table[2][n] = 2u8.saturating_sub(x as u8);
        table[3][n] = 2;
        table[4][n] = CTX_IDX_MAP[y << 2 | x];
        n += 1;
    }
    table
}

const fn position_4x4(scan_idx: usize, n: usize) -> (usize, usize) {
    match scan_idx {
        UP_RIGHT_DIAGONAL => {
            let (mut x, mut y, mut place) = (0usize, 0usize, 0);
            while place < n {
                if y == 0 || x == 3 {
                    let line = x + y + 1;
                    y = if line < 4 { line } else { 3 };
                    x = line - y;
                } else {
                    x += 1;
                    y -= 1;
                }
                place += 1;
            }
            (x, y)
        }
        1 => (n & 3, n >> 2),
        _ => (n >> 2, n & 3),
    }
}

/// What one sub-block needs to know of those before it.
struct State {
    /// greater1Ctx after the last coeff_abs_level_greater1_flag; 1 before the first sub-block.
    greater1_ctx: usize,
    /// The sub-block is the first one that is decoded.
    first: bool,
}

impl<'a> Cabac<'a> {
    /// Decodes residual_coding(). `tools` are the parameter sets' flags.
    pub fn residual_coding(&mut self, block: Block, tools: &Tools) -> Result<()> {
        let chroma = (block.c_idx > 0) as usize;
        let mut skip_transform = block.transquant_bypass;
        if block.may_skip_transform {
            skip_transform |= self.flag(TRANSFORM_SKIP_FLAG + chroma);
        }
        let mut rdpcm = block.implicit_rdpcm && skip_transform;
        if block.may_signal_rdpcm && skip_transform && self.flag(EXPLICIT_RDPCM_FLAG + chroma) {
            self.flag(EXPLICIT_RDPCM_DIR_FLAG + chroma);
            rdpcm = true;
        }
        let hides_signs = tools.sign_data_hiding && !block.transquant_bypass && !rdpcm;
        let (last_x, last_y) = self.last_sig_coeff(block)?;
        // The engine lives in registers while it is a local variable.
        let mut engine = self.engine;
        let result = coefficients(
            &mut engine,
            &mut self.contexts,
            block,
            tools,
            (last_x, last_y),
            Flavour {
                skip_transform,
                hides_signs,
            },
        );
        self.engine = engine;
        result
    }

    /// LastSignificantCoeffX and Y.
    fn last_sig_coeff(&mut self, block: Block) -> Result<(usize, usize)> {
        let log2 = block.log2_size as usize;
        let (offset, shift) = if block.c_idx == 0 {
            (3 * (log2 - 2) + ((log2 - 1) >> 2), (log2 + 1) >> 2)
        } else {
            (15, log2 - 2)
        };
        let mut prefix = |base: usize| {
            let most = 2 * log2 - 1;
            let one = |&bin: &usize| self.flag(base + offset + (bin >> shift));
            (0..most).take_while(one).count() as u32
        };
        let prefixes = [
            prefix(LAST_SIG_COEFF_X_PREFIX),
            prefix(LAST_SIG_COEFF_Y_PREFIX),
        ];
        let [x, y] = prefixes.map(|prefix| {
            if prefix <= 3 {
                return prefix as usize;
            }
            // Equation (7-78).
            let bits = (prefix >> 1) - 1;
            ((2 + (prefix & 1)) << bits) as usize + self.bypass_bits(bits) as usize
        });
        const VERTICAL: usize = 2;
        if block.scan_idx == VERTICAL {
            return Ok((y, x));
        }
        Ok((x, y))
    }
}

/// How the coefficients of a block are coded.
#[derive(Clone, Copy)]
struct Flavour {
    /// The transform is skipped or bypassed.
    skip_transform: bool,
    hides_signs: bool,
}

#[inline(never)]
fn coefficients(
    engine_in_out: &mut Engine,
    contexts: &mut Contexts,
    block: Block,
    tools: &Tools,
    (last_x, last_y): (usize, usize),
    flavour: Flavour,
) -> Result<()> {
    let mut engine = *engine_in_out;
    let chroma = block.c_idx > 0;
    let log2 = block.log2_size;
    let order = sub_blocks(log2, block.scan_idx);
    let side = 1usize << (log2 - 2);
    let last_sub_block = order.place[(last_y >> 2) * side + (last_x >> 2)] as usize;
    let last_place = SCAN_4X4[block.scan_idx].place[(last_y & 3) * 4 + (last_x & 3)] as usize;
    // Bit x of row y: coded_sub_block_flag of the sub-block; one row more than there are.
    let mut coded = [0u16; 9];
    let mut state = State {
        greater1_ctx: 1,
        first: true,
    };
    let single_ctx = tools.transform_skip_context && flavour.skip_transform;
    let sb_type = 2 * !chroma as usize + flavour.skip_transform as usize;
    for i in (0..=last_sub_block).rev() {
        let at = order.at[i] as usize;
        let (x, y) = (at & 15, at >> 4);
        let right = (coded[y] >> (x + 1) & 1) as usize;
        let below = (coded[y + 1] >> x & 1) as usize;
        let inner = i > 0 && i < last_sub_block;
        if inner {
            let ctx = CODED_SUB_BLOCK_FLAG + (right | below) + 2 * chroma as usize;
            if engine.decision(&mut contexts.states[ctx]) == 0 {
                continue;
            }
        }
        coded[y] |= 1 << x;
        let (row, base) = if single_ctx {
            (3, if chroma { 43 - 2 } else { 42 - 2 })
        } else if log2 == 2 {
            (4, 27 * chroma as usize)
        } else {
            (
                right | below << 1,
                sig_ctx_base(block, chroma, (x, y) != (0, 0)),
            )
        };
        let table = &SIG_CTX[block.scan_idx][row];
        let dc_ctx = if single_ctx {
            base + 2
        } else {
            27 * chroma as usize
        };
        // Bit n: the coefficient at place n of the scan is significant.
        let (mut places, start) = if i == last_sub_block {
            (1u32 << last_place, last_place)
        } else {
            (0, 16)
        };
        for n in (1..start).rev() {
            let ctx = SIG_COEFF_FLAG + base + table[n] as usize;
            places |= engine.decision(&mut contexts.states[ctx]) << n;
        }
        if start > 0 {
            let inferred = inner && places == 0;
            let ctx = if i == 0 {
                SIG_COEFF_FLAG + dc_ctx
            } else {
                SIG_COEFF_FLAG + base + table[0] as usize
            };
            if inferred || engine.decision(&mut contexts.states[ctx]) != 0 {
                places |= 1;
            }
        }
        if places == 0 {
            continue;
        }
        let count = places.count_ones() as usize;
        let spread = 31 - places.leading_zeros() - places.trailing_zeros();
        let set =
            (i > 0 && !chroma) as usize * 2 + (!state.first && state.greater1_ctx == 0) as usize;
        state.first = false;
        state.greater1_ctx = 1;
        let greater1_base = COEFF_ABS_LEVEL_GREATER1_FLAG + 4 * set + if chroma { 16 } else { 0 };
        // Bit k: the k-th coefficient is greater than 1.
        let mut greater1 = 0u32;
        for k in 0..count.min(8) {
            let ctx = greater1_base + state.greater1_ctx;
            if engine.decision(&mut contexts.states[ctx]) != 0 {
                greater1 |= 1 << k;
                state.greater1_ctx = 0;
            } else if state.greater1_ctx > 0 && state.greater1_ctx < 3 {
                state.greater1_ctx += 1;
            }
        }
        let first_greater1 = greater1.trailing_zeros() as usize;
        let mut greater2 = false;
        if greater1 != 0 {
            let ctx = COEFF_ABS_LEVEL_GREATER2_FLAG + set + if chroma { 4 } else { 0 };
            greater2 = engine.decision(&mut contexts.states[ctx]) != 0;
        }
        // coeff_abs_level_remaining follows for these coefficients.
        let escapes = (greater1 & !(1 << (first_greater1 & 31)))
            | (greater2 as u32) << (first_greater1 & 31)
            | (((1u32 << count) - 1) & !0xff);
        if tools.cabac_bypass_alignment && escapes != 0 {
            engine.align_bypass();
        }
        let hidden = flavour.hides_signs && spread > 3;
        engine.skip_bypass(count as u32 - hidden as u32);
        if escapes != 0 {
            let stat_coeff = &mut contexts.stat_coeff[sb_type];
            let range = tools.extended_range[chroma as usize];
            let escapes = Escapes {
                coefficients: escapes,
                first_greater1,
                range,
            };
            escapes.decode(&mut engine, stat_coeff, tools.persistent_rice_adaptation)?;
        }
    }
    *engine_in_out = engine;
    Ok(())
}

/// Coefficients of a sub-block with coeff_abs_level_remaining.
struct Escapes {
    /// Bit k: the k-th significant coefficient.
    coefficients: u32,
    /// The first coefficient that is greater than 1.
    first_greater1: usize,
    /// log2TransformRange with extended precision.
    range: Option<u32>,
}

impl Escapes {
    /// Reads the values, which select each other's Rice parameter (clause 9.3.3.11).
    #[inline(always)]
    fn decode(self, engine: &mut Engine, stat_coeff: &mut u8, adapts: bool) -> Result<()> {
        let mut rice = if adapts { *stat_coeff as u32 / 4 } else { 0 };
        let mut rest = self.coefficients;
        let mut first = true;
        while rest != 0 {
            let k = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            let base_level = match k {
                8.. => 1,
                _ if k == self.first_greater1 => 3,
                _ => 2,
            };
            let value = match self.range {
                None => abs_level_remaining(engine, rice),
                Some(range) => limited_abs_level_remaining(engine, rice, range),
            };
            // Rice parameters stay below the width of a word.
            let Some(value) = value.filter(|&value| value < MAX_REMAINING) else {
                return Err(Error::malformed("coeff_abs_level_remaining"));
            };
            if base_level + value > 3 << rice {
                rice += 1;
                if !adapts {
                    rice = rice.min(4);
                }
            }
            if first && adapts {
                let shift = *stat_coeff as u32 / 4;
                if value >= 3 << shift {
                    *stat_coeff += 1;
                } else if 2 * value < 1 << shift && *stat_coeff > 0 {
                    *stat_coeff -= 1;
                }
            }
            first = false;
        }
        Ok(())
    }
}

/// sigCtx of sub-blocks of blocks larger than 4x4, without the part that depends on the position.
#[inline]
fn sig_ctx_base(block: Block, chroma: bool, not_first: bool) -> usize {
    if chroma {
        return 27 + if block.log2_size == 3 { 9 } else { 12 };
    }
    let by_size = match (block.log2_size, block.scan_idx) {
        (3, UP_RIGHT_DIAGONAL) => 9,
        (3, _) => 15,
        _ => 21,
    };
    by_size + 3 * not_first as usize
}

/// coeff_abs_level_remaining (clause 9.3.3.11); None where its prefix is too long.
#[inline(always)]
fn abs_level_remaining(engine: &mut Engine, rice: u32) -> Option<u32> {
    const PEEKED: u32 = 16;
    let bins = engine.peek_bypass();
    let prefix = (!(bins << 16)).leading_zeros();
    let suffix = if prefix <= 3 { rice } else { prefix - 3 + rice };
    let length = prefix + 1 + suffix;
    if length <= PEEKED {
        engine.consume_bypass(bins, length);
        let tail = bins >> (PEEKED - length) & ((1 << suffix) - 1);
        return Some(if prefix <= 3 {
            (prefix << rice) + tail
        } else {
            (((1 << (prefix - 3)) + 3 - 1) << rice) + tail
        });
    }
    long_abs_level_remaining(engine, rice)
}

#[cold]
fn long_abs_level_remaining(engine: &mut Engine, rice: u32) -> Option<u32> {
    let mut prefix = 0;
    while engine.bypass() != 0 {
        prefix += 1;
        if prefix + rice > 31 {
            return None;
        }
    }
    let suffix = if prefix <= 3 { rice } else { prefix - 3 + rice };
    let tail = (0..suffix).fold(0u32, |v, _| v << 1 | engine.bypass());
    if prefix <= 3 {
        return Some((prefix << rice) + tail);
    }
    Some((((1u32 << (prefix - 3)) + 3 - 1) << rice).wrapping_add(tail))
}

/// The same with extended_precision_processing_flag (clause 9.3.3.12).
fn limited_abs_level_remaining(engine: &mut Engine, rice: u32, range: u32) -> Option<u32> {
    const TRUNCATED_RICE: u32 = 4;
    let longest = 28 - range;
    let mut prefix = 0;
    while prefix < TRUNCATED_RICE + longest && engine.bypass() != 0 {
        prefix += 1;
    }
    let bits =
        |engine: &mut Engine, count: u32| (0..count).fold(0u32, |v, _| v << 1 | engine.bypass());
    if prefix <= 3 {
        return Some((prefix << rice) + bits(engine, rice));
    }
    let extension = prefix - TRUNCATED_RICE;
    let suffix = if extension < longest {
        extension + 1 + rice
    } else {
        range
    };
    if suffix > 31 {
        return None;
    }
    let tail = bits(engine, suffix);
    let start = ((1u32 << (prefix - 3)) + 3 - 1).checked_shl(rice)?;
    Some(start.wrapping_add(tail))
}
