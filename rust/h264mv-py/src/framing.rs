//! How NAL units are framed.

use h264mv::{AnnexB, AvcConfig, LengthPrefixed};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::raise;

/// Annex B start codes, or lengths of some bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Framing(Option<usize>);

impl Framing {
    /// Of `length_size` as Python gives it: 0 for Annex B, else 1 to 4.
    pub fn new(length_size: usize) -> PyResult<Self> {
        match length_size {
            0 => Ok(Framing(None)),
            1..=4 => Ok(Framing(Some(length_size))),
            other => Err(PyValueError::new_err(format!(
                "length_size is {other}; it must be 0 (Annex B), 1, 2, 3 or 4"
            ))),
        }
    }

    /// The NAL units of a sample; a broken length ends them with an error.
    pub fn units(self, sample: &[u8]) -> Box<dyn Iterator<Item = h264mv::Result<&[u8]>> + '_> {
        match self.0 {
            None => Box::new(AnnexB::new(sample).map(|(_, nal)| Ok(nal))),
            Some(size) => Box::new(LengthPrefixed::new(sample, size)),
        }
    }

    /// Framing and parameter sets that `extradata` (an avcC record or Annex B) tells.
    pub fn with_parameter_sets(self, extradata: &[u8]) -> PyResult<(Framing, Vec<Vec<u8>>)> {
        if extradata.first() == Some(&1) {
            let config = AvcConfig::parse(extradata).map_err(raise)?;
            return Ok((Framing(Some(config.length_size)), config.parameter_sets));
        }
        let units = AnnexB::new(extradata).map(|(_, nal)| nal.to_vec());
        Ok((self, units.collect()))
    }
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
    for unit in framing.units(sample) {
        let pushed = match unit {
            Ok(nal) => sink.unit(nal, number),
            Err(error) => {
                sink.broken(number, &error);
                Err(error)
            }
        };
        match pushed {
            Err(error @ h264mv::Error::Unsupported { .. }) => return Err(error),
            Err(error) => first = first.or(Some(error)),
            Ok(()) => {}
        }
    }
    sink.end_of_access_unit();
    Ok(first)
}
