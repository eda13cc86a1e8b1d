//! Framing of NAL units, and the loop over the units of a sample.

use bitstream::nal::Framing;
use bitstream::{Error, Result};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::codec::{Codec, Sink};

/// Framing for a `length_size` from Python: 0 for Annex B, else 1 to 4.
pub(crate) fn framing(length_size: usize) -> PyResult<Framing> {
    match length_size {
        0 => Ok(Framing::StartCodes),
        1..=4 => Ok(Framing::Lengths(length_size)),
        other => Err(PyValueError::new_err(format!(
            "length_size is {other}; it must be 0 (Annex B), 1, 2, 3 or 4"
        ))),
    }
}

/// Pushes the units of a sample. Returns the first error after which the stream continues, or fails with
/// one that ends it.
pub(crate) fn feed(
    sink: &mut impl Sink,
    (codec, framing): (Codec, Framing),
    sample: &[u8],
    number: u64,
) -> Result<Option<Error>> {
    let mut first = None;
    for unit in codec.framing_of(framing, sample).units(sample) {
        let pushed = match unit {
            Ok(nal) => sink.unit(nal, number),
            Err(malformed) => {
                sink.broken_sample(number, malformed);
                Err(malformed.into())
            }
        };
        keep_first(pushed, &mut first)?;
    }
    sink.end_of_access_unit();
    Ok(first)
}

/// Pushes the units before the first sample; damaged ones may be sent again in samples. Returns as
/// [`feed`].
pub(crate) fn feed_units(sink: &mut impl Sink, units: &[Vec<u8>]) -> Result<Option<Error>> {
    let mut first = None;
    for unit in units {
        keep_first(sink.unit(unit, u64::MAX), &mut first)?;
    }
    Ok(first)
}

/// Stores the first error, or fails with one that ends the stream.
fn keep_first(pushed: Result<()>, first: &mut Option<Error>) -> Result<()> {
    match pushed {
        Err(error @ Error::Unsupported { .. }) => Err(error),
        Err(error) => {
            first.get_or_insert(error);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
