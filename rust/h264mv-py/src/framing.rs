//! Framing of NAL units, and the loop over the units of a sample.

use bitstream::nal::{AnnexB, Framing};
use h264mv::AvcConfig;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::to_python;

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

/// Framing and parameter sets from `extradata`, an avcC record or Annex B units.
pub(crate) fn with_parameter_sets(
    length_size: usize,
    extradata: Option<&[u8]>,
) -> PyResult<(Framing, Vec<Vec<u8>>)> {
    let declared = framing(length_size)?;
    let extradata = extradata.unwrap_or(&[]);
    if extradata.first() == Some(&1) {
        let config = AvcConfig::parse(extradata).map_err(|e| to_python(e.into()))?;
        return Ok((Framing::Lengths(config.length_size), config.parameter_sets));
    }
    let units = AnnexB::new(extradata).map(|(_, nal)| nal.to_vec());
    Ok((declared, units.collect()))
}

/// A consumer of NAL units.
pub(crate) trait Sink {
    fn unit(&mut self, nal: &[u8], sample: u64) -> h264mv::Result<()>;
    /// Called for a sample with broken framing.
    fn broken_sample(&mut self, _sample: u64, _error: &h264mv::Error) {}
    fn end_of_access_unit(&mut self);
}

/// Pushes the units of a sample. Returns the first error after which the stream continues, or fails with
/// one that ends it.
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
                sink.broken_sample(number, &error);
                Err(error)
            }
        };
        keep_first(pushed, &mut first)?;
    }
    sink.end_of_access_unit();
    Ok(first)
}

/// Pushes the units before the first sample; damaged ones may be sent again in samples. Returns as
/// [`feed`].
pub(crate) fn feed_units(
    sink: &mut impl Sink,
    units: &[Vec<u8>],
) -> h264mv::Result<Option<h264mv::Error>> {
    let mut first = None;
    for unit in units {
        keep_first(sink.unit(unit, u64::MAX), &mut first)?;
    }
    Ok(first)
}

/// Stores the first error, or fails with one that ends the stream.
fn keep_first(pushed: h264mv::Result<()>, first: &mut Option<h264mv::Error>) -> h264mv::Result<()> {
    match pushed {
        Err(error @ h264mv::Error::Unsupported { .. }) => return Err(error),
        Err(error) => drop(first.get_or_insert(error)),
        Ok(()) => {}
    }
    Ok(())
}
