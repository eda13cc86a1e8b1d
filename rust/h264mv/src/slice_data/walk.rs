//! Order of macroblocks in slice_data(): skip runs and field pairs (clause 7.3.4).

use crate::entropy::{CabacDecoder, CavlcDecoder, EntropyDecoder};
use crate::motion::context::MbContext;
use crate::motion::macroblock_info::SKIPPED;
use crate::syntax::slice_header::SliceType;
use bitstream::{Error, Result};

/// Ends a macroblock: records its slice, or fails if bits beyond the end were read.
fn end_macroblock(cx: &mut MbContext, overrun: bool) -> Result<()> {
    if overrun {
        return Err(Error::malformed("slice_data"));
    }
    cx.mb_slice[cx.mb] = cx.slice_number;
    Ok(())
}

/// Adds the address of the current macroblock to an error.
fn locate<T>(result: Result<T>, cx: &MbContext) -> Result<T> {
    result.map_err(|e| e.in_block("macroblock", cx.mb as u32))
}

/// Parses CABAC slice data of a picture without MBAFF.
pub(crate) fn cabac(cx: &mut MbContext, rbsp: &[u8]) -> Result<()> {
    let mut entropy = CabacDecoder::new(rbsp, cx.header);
    let inter = cx.slice_type != SliceType::I;
    let mut x = cx.first % cx.width;
    for y in cx.first / cx.width..cx.height {
        while x < cx.width {
            cx.enter(x, y);
            let result = if inter && entropy.mb_skip_flag(cx) {
                cx.skip::<CabacDecoder, false>(&mut entropy)
            } else {
                cx.macroblock::<CabacDecoder, false>(&mut entropy)
            };
            let ended = entropy.end_of_slice_flag();
            let result = result.and_then(|()| end_macroblock(cx, entropy.overrun()));
            locate(result, cx)?;
            if ended {
                return Ok(());
            }
            if cx.mb + 1 >= cx.end {
                return Err(
                    Error::malformed("end_of_slice_flag").in_block("macroblock", cx.mb as u32)
                );
            }
            x += 1;
        }
        x = 0;
    }
    Err(Error::malformed("end_of_slice_flag"))
}

/// Parses CAVLC slice data of a picture without MBAFF.
pub(crate) fn cavlc(cx: &mut MbContext, rbsp: &[u8]) -> Result<()> {
    let mut entropy = CavlcDecoder::new(rbsp, cx.header);
    let inter = cx.slice_type != SliceType::I;
    let mut mb = cx.first;
    loop {
        if inter {
            let run = entropy.bits.get_ue() as usize;
            if entropy.bits.overrun() || run > cx.end - mb {
                return Err(Error::malformed("mb_skip_run").in_block("macroblock", mb as u32));
            }
            for _ in 0..run {
                cx.enter(mb % cx.width, mb / cx.width);
                let result = cx
                    .skip::<CavlcDecoder, false>(&mut entropy)
                    .and_then(|()| end_macroblock(cx, false));
                locate(result, cx)?;
                mb += 1;
            }
            if !entropy.bits.more_rbsp_data() {
                return Ok(());
            }
        }
        if mb >= cx.end {
            return Err(Error::malformed("slice_data"));
        }
        cx.enter(mb % cx.width, mb / cx.width);
        let result = cx.macroblock::<CavlcDecoder, false>(&mut entropy);
        let result = result.and_then(|()| end_macroblock(cx, entropy.bits.overrun()));
        locate(result, cx)?;
        mb += 1;
        if !entropy.bits.more_rbsp_data() {
            return Ok(());
        }
    }
}

/// Inferred mb_field_decoding_flag of a pair: that of pair A, else of pair B, else 0.
fn inferred_field(cx: &MbContext) -> bool {
    let neighbour = cx.pairs[..2].iter().find(|p| p.available);
    neighbour.is_some_and(|p| p.field)
}

/// Enters a macroblock of a pair and records its mb_field_decoding_flag in the picture.
fn enter_in_pair(cx: &mut MbContext, x: usize, y: usize, field: bool) {
    cx.enter_in_pair(x, y, field);
    cx.mb_field[cx.mb] = field;
}

/// Parses CABAC slice data of an MBAFF frame.
pub(crate) fn cabac_mbaff(cx: &mut MbContext, rbsp: &[u8]) -> Result<()> {
    let mut entropy = CabacDecoder::new(rbsp, cx.header);
    for pair in cx.first..cx.end {
        let (x, y) = (pair % cx.width, pair / cx.width * 2);
        cx.enter_pair(x, y / 2);
        let result = cabac_pair(cx, &mut entropy, x, y);
        if locate(result, cx)? {
            return Ok(());
        }
    }
    Err(Error::malformed("end_of_slice_flag"))
}

/// Parses one pair; returns end_of_slice_flag.
fn cabac_pair(cx: &mut MbContext, entropy: &mut CabacDecoder, x: usize, y: usize) -> Result<bool> {
    let inter = cx.slice_type != SliceType::I;
    let mut field = inferred_field(cx);
    let mut field_known = false;
    let mut skips = [false; 2];
    for bottom in 0..2 {
        enter_in_pair(cx, x, y + bottom, field);
        if inter && (bottom == 0 || !skips[0]) {
            skips[bottom] = entropy.mb_skip_flag(cx);
        }
        if bottom == 0 && skips[0] {
            // The motion of the top macroblock depends on the field flag of the pair, which follows the
            // skip flag of the bottom macroblock: read that now (clause 7.3.4).
            peek_bottom_skip(cx, entropy, [x, y], field, &mut skips);
        }
        let both = skips[0] && skips[1];
        if !field_known && !both {
            field = entropy.mb_field_decoding_flag(cx);
            field_known = true;
        }
        enter_in_pair(cx, x, y + bottom, field);
        if skips[bottom] {
            cx.skip::<CabacDecoder, true>(entropy)?;
        } else {
            cx.macroblock::<CabacDecoder, true>(entropy)?;
        }
        let ended = bottom == 1 && entropy.end_of_slice_flag();
        end_macroblock(cx, entropy.overrun())?;
        if ended {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads mb_skip_flag of the bottom macroblock while the skipped top macroblock is current.
fn peek_bottom_skip(
    cx: &mut MbContext,
    entropy: &mut CabacDecoder,
    [x, y]: [usize; 2],
    field: bool,
    skips: &mut [bool; 2],
) {
    cx.info[cx.slot] = SKIPPED[field as usize];
    enter_in_pair(cx, x, y + 1, field);
    skips[1] = entropy.mb_skip_flag(cx);
    enter_in_pair(cx, x, y, field);
}

/// Parses CAVLC slice data of an MBAFF frame.
pub(crate) fn cavlc_mbaff(cx: &mut MbContext, rbsp: &[u8]) -> Result<()> {
    let mut entropy = CavlcDecoder::new(rbsp, cx.header);
    let inter = cx.slice_type != SliceType::I;
    let mut run = None;
    for pair in cx.first..cx.end {
        let (x, y) = (pair % cx.width, pair / cx.width * 2);
        cx.enter_pair(x, y / 2);
        let mut field = inferred_field(cx);
        let mut field_known = false;
        for bottom in 0..2 {
            if inter && run.is_none() {
                run = Some(entropy.bits.get_ue());
            }
            let skipped = run.is_some_and(|r| r > 0);
            if skipped {
                run = run.map(|r| r - 1);
                let more = run == Some(0) && entropy.bits.more_rbsp_data();
                if bottom == 0 && more {
                    // The bottom macroblock is coded: its field flag is next and applies to both.
                    field = entropy.bits.clone().get(1) == 1;
                }
            } else {
                run = None;
                if !field_known {
                    field = entropy.bits.get(1) == 1;
                    field_known = true;
                }
            }
            enter_in_pair(cx, x, y + bottom, field);
            let result = if skipped {
                cx.skip::<CavlcDecoder, true>(&mut entropy)
            } else {
                cx.macroblock::<CavlcDecoder, true>(&mut entropy)
            };
            let result = result.and_then(|()| end_macroblock(cx, entropy.bits.overrun()));
            locate(result, cx)?;
            if run.unwrap_or(0) == 0 && !entropy.bits.more_rbsp_data() {
                return Ok(());
            }
        }
    }
    Err(Error::malformed("slice_data"))
}
