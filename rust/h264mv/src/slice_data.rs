//! slice_data(): the walk over macroblocks, skip runs and field pairs (clause 7.3.4).

use crate::cabac_syntax::Cabac;
use crate::cavlc_syntax::Cavlc;
use crate::context::Context;
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::mbinfo::SKIPPED;
use crate::slice::SliceType;

/// Ends a macroblock: notes its slice; an overrun makes it damaged.
fn finish(cx: &mut Context, overrun: bool) -> Result<()> {
    if overrun {
        return Err(Error::malformed("slice_data"));
    }
    cx.mb_slice[cx.mb] = cx.slice_number;
    Ok(())
}

fn locate<T>(result: Result<T>, cx: &Context) -> Result<T> {
    result.map_err(|e| e.in_macroblock(cx.mb as u32))
}

/// Parses CABAC slice data of a picture without MBAFF.
pub(crate) fn cabac(cx: &mut Context, rbsp: &[u8]) -> Result<()> {
    let mut e = Cabac::new(rbsp, cx.header);
    let inter = cx.slice_type != SliceType::I;
    let mut x = cx.first % cx.width;
    for y in cx.first / cx.width..cx.height {
        while x < cx.width {
            cx.enter(x, y);
            let result = if inter && e.mb_skip_flag(cx) {
                cx.skip::<Cabac, false>(&mut e)
            } else {
                cx.macroblock::<Cabac, false>(&mut e)
            };
            let ended = e.end_of_slice_flag();
            let result = result.and_then(|()| finish(cx, e.overrun()));
            locate(result, cx)?;
            if ended {
                return Ok(());
            }
            if cx.mb + 1 >= cx.end {
                return Err(Error::malformed("end_of_slice_flag").in_macroblock(cx.mb as u32));
            }
            x += 1;
        }
        x = 0;
    }
    Err(Error::malformed("end_of_slice_flag"))
}

/// Parses CAVLC slice data of a picture without MBAFF.
pub(crate) fn cavlc(cx: &mut Context, rbsp: &[u8]) -> Result<()> {
    let mut e = Cavlc::new(rbsp, cx.header);
    let inter = cx.slice_type != SliceType::I;
    let mut mb = cx.first;
    loop {
        if inter {
            let run = e.bits.get_ue() as usize;
            if e.bits.overrun() || run > cx.end - mb {
                return Err(Error::malformed("mb_skip_run").in_macroblock(mb as u32));
            }
            for _ in 0..run {
                cx.enter(mb % cx.width, mb / cx.width);
                let result = cx
                    .skip::<Cavlc, false>(&mut e)
                    .and_then(|()| finish(cx, false));
                locate(result, cx)?;
                mb += 1;
            }
            if !e.bits.more_rbsp_data() {
                return Ok(());
            }
        }
        if mb >= cx.end {
            return Err(Error::malformed("slice_data"));
        }
        cx.enter(mb % cx.width, mb / cx.width);
        let result = cx.macroblock::<Cavlc, false>(&mut e);
        let result = result.and_then(|()| finish(cx, e.bits.overrun()));
        locate(result, cx)?;
        mb += 1;
        if !e.bits.more_rbsp_data() {
            return Ok(());
        }
    }
}

/// mb_field_decoding_flag of a pair that does not code it: from pair A, else B, else frame.
fn inferred_field(cx: &Context) -> bool {
    let near = cx.pairs[..2].iter().find(|p| p.available);
    near.is_some_and(|p| p.field)
}

/// Enters a macroblock of a pair and notes mb_field_decoding_flag for later pictures and pairs.
fn enter_in_pair(cx: &mut Context, x: usize, y: usize, field: bool) {
    cx.enter_in_pair(x, y, field);
    cx.mb_field[cx.mb] = field;
}

/// Parses CABAC slice data of an MBAFF frame.
pub(crate) fn cabac_mbaff(cx: &mut Context, rbsp: &[u8]) -> Result<()> {
    let mut e = Cabac::new(rbsp, cx.header);
    for pair in cx.first..cx.end {
        let (x, y) = (pair % cx.width, pair / cx.width * 2);
        cx.enter_pair(x, y / 2);
        let result = cabac_pair(cx, &mut e, x, y);
        if locate(result, cx)? {
            return Ok(());
        }
    }
    Err(Error::malformed("end_of_slice_flag"))
}

/// One pair; gives end_of_slice_flag.
fn cabac_pair(cx: &mut Context, e: &mut Cabac, x: usize, y: usize) -> Result<bool> {
    let inter = cx.slice_type != SliceType::I;
    let mut field = inferred_field(cx);
    let mut field_known = false;
    let mut skips = [false; 2];
    for bottom in 0..2 {
        enter_in_pair(cx, x, y + bottom, field);
        if inter && (bottom == 0 || !skips[0]) {
            skips[bottom] = e.mb_skip_flag(cx);
        }
        if bottom == 0 && skips[0] {
            // The pair's field flag follows the skip flag of its bottom macroblock, and the top
            // one's motion depends on it: look ahead (clause 7.3.4).
            peek_bottom_skip(cx, e, [x, y], field, &mut skips);
        }
        let both = skips[0] && skips[1];
        if !field_known && !both {
            field = e.mb_field_decoding_flag(cx);
            field_known = true;
        }
        enter_in_pair(cx, x, y + bottom, field);
        if skips[bottom] {
            cx.skip::<Cabac, true>(e)?;
        } else {
            cx.macroblock::<Cabac, true>(e)?;
        }
        let ended = bottom == 1 && e.end_of_slice_flag();
        finish(cx, e.overrun())?;
        if ended {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads mb_skip_flag of the bottom macroblock while the top one, known to be skipped, is current.
fn peek_bottom_skip(
    cx: &mut Context,
    e: &mut Cabac,
    [x, y]: [usize; 2],
    field: bool,
    skips: &mut [bool; 2],
) {
    cx.info[cx.slot] = SKIPPED[field as usize];
    enter_in_pair(cx, x, y + 1, field);
    skips[1] = e.mb_skip_flag(cx);
    enter_in_pair(cx, x, y, field);
}

/// Parses CAVLC slice data of an MBAFF frame.
pub(crate) fn cavlc_mbaff(cx: &mut Context, rbsp: &[u8]) -> Result<()> {
    let mut e = Cavlc::new(rbsp, cx.header);
    let inter = cx.slice_type != SliceType::I;
    let mut run = None;
    for pair in cx.first..cx.end {
        let (x, y) = (pair % cx.width, pair / cx.width * 2);
        cx.enter_pair(x, y / 2);
        let mut field = inferred_field(cx);
        let mut field_known = false;
        for bottom in 0..2 {
            if inter && run.is_none() {
                run = Some(e.bits.get_ue());
            }
            let skipped = run.is_some_and(|r| r > 0);
            if skipped {
                run = run.map(|r| r - 1);
                let more = run == Some(0) && e.bits.more_rbsp_data();
                if bottom == 0 && more {
                    // The bottom macroblock is coded: its field flag is next and counts for both.
                    field = e.bits.clone().get(1) == 1;
                }
            } else {
                run = None;
                if !field_known {
                    field = e.bits.get(1) == 1;
                    field_known = true;
                }
            }
            enter_in_pair(cx, x, y + bottom, field);
            let result = if skipped {
                cx.skip::<Cavlc, true>(&mut e)
            } else {
                cx.macroblock::<Cavlc, true>(&mut e)
            };
            let result = result.and_then(|()| finish(cx, e.bits.overrun()));
            locate(result, cx)?;
            if run.unwrap_or(0) == 0 && !e.bits.more_rbsp_data() {
                return Ok(());
            }
        }
    }
    Err(Error::malformed("slice_data"))
}
