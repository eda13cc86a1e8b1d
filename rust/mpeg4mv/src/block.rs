//! Transform coefficients of blocks, which are read and left out (clause 7.4.1).

use bitstream::{BitReader, Malformed};

use crate::tables::{CoefficientCodes, Symbol, DC_SIZE_CODES, INTER_CODES, INTRA_CODES};

/// The DC coefficient of an intra block where it has a code of its own.
pub(crate) fn skip_dc(r: &mut BitReader<'_>, chrominance: bool) -> Result<(), Malformed> {
    let (size, length) = DC_SIZE_CODES[usize::from(chrominance)].find(r.window());
    if length == 0 {
        return Err(Malformed("dct_dc_size"));
    }
    r.skip(u32::from(length) + u32::from(size) + u32::from(size > 8));
    Ok(())
}

/// The coefficients of a block; `first` is 1 where the DC coefficient is not among them.
pub(crate) fn skip_coefficients(
    r: &mut BitReader<'_>,
    intra: bool,
    first: u32,
) -> Result<(), Malformed> {
    let codes: &CoefficientCodes = if intra { &INTRA_CODES } else { &INTER_CODES };
    let mut next = first;
    loop {
        let step = codes.step(r.window());
        let last = if step.length() > 0 {
            r.skip(step.length());
            next += step.places();
            step.last()
        } else {
            let (last, run) = coefficient(r, codes)?;
            next += run + 1;
            last
        };
        if next > 64 {
            return Err(Malformed("DCT coefficient"));
        }
        if last {
            return Ok(());
        }
    }
}

/// LAST and RUN of the next coefficient.
#[cold]
fn coefficient(r: &mut BitReader<'_>, codes: &CoefficientCodes) -> Result<(bool, u32), Malformed> {
    match symbol(r, codes)? {
        Symbol::Coefficient(found) => {
            r.skip(1); // sign
            Ok((found.last, u32::from(found.run)))
        }
        Symbol::Escape => escaped(r, codes),
    }
}

fn escaped(r: &mut BitReader<'_>, codes: &CoefficientCodes) -> Result<(bool, u32), Malformed> {
    let window = r.window();
    if window >> 62 == 3 {
        // Type 3: LAST, RUN and LEVEL have fixed lengths.
        r.skip(2);
        let (last, run) = (r.get(1) == 1, r.get(6));
        r.skip(1 + 12 + 1);
        return Ok((last, run));
    }
    let longer_run = window >> 62 == 2;
    r.skip(if longer_run { 2 } else { 1 });
    let Symbol::Coefficient(found) = symbol(r, codes)? else {
        return Err(Malformed("DCT coefficient"));
    };
    r.skip(1);
    let run = if longer_run {
        codes.escaped_run(found)
    } else {
        found.run
    };
    Ok((found.last, u32::from(run)))
}

#[inline(always)]
fn symbol(r: &mut BitReader<'_>, codes: &CoefficientCodes) -> Result<Symbol, Malformed> {
    let (symbol, length) = codes.find(r.window()).ok_or(Malformed("DCT coefficient"))?;
    r.skip(length);
    Ok(symbol)
}
