//! How NAL units are framed.

use bitstream::nal::{AnnexB, Framing};
use h264mv::AvcConfig;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::raise;

/// Framing of `length_size` as Python gives it: 0 for Annex B, else 1 to 4.
pub(crate) fn framing(length_size: usize) -> PyResult<Framing> {
    match length_size {
        0 => Ok(Framing::StartCodes),
        1..=4 => Ok(Framing::Lengths(length_size)),
        other => Err(PyValueError::new_err(format!(
            "length_size is {other}; it must be 0 (Annex B), 1, 2, 3 or 4"
        ))),
    }
}

/// Framing and parameter sets that `extradata` (an avcC record or Annex B) tells.
pub(crate) fn with_parameter_sets(
    length_size: usize,
    extradata: Option<&[u8]>,
) -> PyResult<(Framing, Vec<Vec<u8>>)> {
    let declared = framing(length_size)?;
    let extradata = extradata.unwrap_or(&[]);
    if extradata.first() == Some(&1) {
        let config = AvcConfig::parse(extradata).map_err(|e| raise(e.into()))?;
        return Ok((Framing::Lengths(config.length_size), config.parameter_sets));
    }
    let units = AnnexB::new(extradata).map(|(_, nal)| nal.to_vec());
    Ok((declared, units.collect()))
}

/// What takes the units of samples one by one.
pub(crate) trait Sink {
    fn unit(&mut self, nal: &[u8], sample: u64) -> h264mv::Result<()>;
    /// The framing of a sample is broken.
    fn broken(&mut self, _sample: u64, _error: &h264mv::Error) {}
    fn end_of_access_unit(&mut self);
}

/// Feeds a sample; gives the first error that does not end the stream, or fails with one that does.
pub(crate) fn feed(
    sink: &mut impl Sink,
    framing: Framing,
    sample: &[u8],
    number: u64,
) -> h264mv::Result<Option<h264mv::Error>> {
    let mut first = None;
    for unit in framing.detect(sample, h264mv::is_plausible).units(sample) {
        let pushed = match unit {
            Ok(nal) => sink.unit(nal, number),
            Err(malformed) => {
                let error = malformed.into();
                sink.broken(number, &error);
                Err(error)
            }
        };
        note(pushed, &mut first)?;
    }
    sink.end_of_access_unit();
    Ok(first)
}

/// Feeds the units that come before the first sample: one that is damaged may come again later.
pub(crate) fn feed_units(
    sink: &mut impl Sink,
    units: &[Vec<u8>],
) -> h264mv::Result<Option<h264mv::Error>> {
    let mut first = None;
    for unit in units {
        note(sink.unit(unit, u64::MAX), &mut first)?;
    }
    Ok(first)
}

/// Keeps the first error, and fails with one that ends the stream.
fn note(pushed: h264mv::Result<()>, first: &mut Option<h264mv::Error>) -> h264mv::Result<()> {
    match pushed {
        Err(error @ h264mv::Error::Unsupported { .. }) => return Err(error),
        Err(error) => drop(first.get_or_insert(error)),
        Ok(()) => {}
    }
    Ok(())
}
