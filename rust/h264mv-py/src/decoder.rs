//! Streaming: samples in, pictures out.

use h264mv::{AnnexB, AvcConfig, LengthPrefixed, Options};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::picture::Picture;
use crate::raise;

/// How NAL units are framed: Annex B start codes, or lengths of some bytes.
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
    pub fn units(self, sample: &[u8]) -> Vec<h264mv::Result<&[u8]>> {
        match self.0 {
            None => AnnexB::new(sample).map(|(_, nal)| Ok(nal)).collect(),
            Some(size) => LengthPrefixed::new(sample, size).collect(),
        }
    }
}

/// Keeps the first error that ends nothing, and returns one that does.
pub(crate) fn sort_error(
    error: h264mv::Error,
    first: &mut Option<h264mv::Error>,
) -> h264mv::Result<()> {
    if matches!(error, h264mv::Error::Unsupported { .. }) {
        return Err(error);
    }
    first.get_or_insert(error);
    Ok(())
}

/// Parses pictures from samples, in decoding order.
#[pyclass(module = "mv_tools._h264mv")]
pub(crate) struct Decoder {
    inner: h264mv::Decoder,
    framing: Framing,
    first_error: Option<h264mv::Error>,
}

#[pymethods]
impl Decoder {
    /// `extradata` is an avcC record or Annex B parameter sets; `length_size` is taken from avcC.
    #[new]
    #[pyo3(signature = (*, threads = 1, length_size = 0, extradata = None))]
    fn new(threads: usize, length_size: usize, extradata: Option<&[u8]>) -> PyResult<Self> {
        let options = Options {
            threads,
            ..Options::default()
        };
        let mut decoder = Decoder {
            inner: h264mv::Decoder::new(&options),
            framing: Framing::new(length_size)?,
            first_error: None,
        };
        let (framing, units) = parameter_sets(extradata.unwrap_or(&[]), decoder.framing)?;
        decoder.framing = framing;
        for unit in units {
            decoder.inner.push(&unit, u64::MAX).map_err(raise)?;
        }
        Ok(decoder)
    }

    /// Takes a whole access unit; gives the pictures that are ready.
    fn push(&mut self, py: Python<'_>, sample: &[u8], number: u64) -> PyResult<Vec<Picture>> {
        let fed = py.detach(|| {
            self.feed(sample, number)?;
            Ok(self.take())
        });
        fed.map(|p| self.wrap(p)).map_err(raise)
    }

    /// Takes several access units, numbered from `first`; gives the pictures that are ready.
    fn push_many(
        &mut self,
        py: Python<'_>,
        samples: Vec<pyo3::pybacked::PyBackedBytes>,
        first: u64,
    ) -> PyResult<Vec<Picture>> {
        let fed = py.detach(|| {
            for (number, sample) in (first..).zip(&samples) {
                self.feed(sample, number)?;
            }
            Ok(self.take())
        });
        fed.map(|p| self.wrap(p)).map_err(raise)
    }

    /// Ends the stream; gives the pictures that are left.
    fn finish(&mut self, py: Python<'_>) -> Vec<Picture> {
        let pictures = py.detach(|| {
            self.inner.finish();
            self.take()
        });
        self.wrap(pictures)
    }

    /// The first error outside of pictures that did not end the stream, or None.
    #[getter]
    fn first_error(&self) -> Option<String> {
        self.first_error.as_ref().map(ToString::to_string)
    }
}

impl Decoder {
    fn feed(&mut self, sample: &[u8], number: u64) -> h264mv::Result<()> {
        for unit in self.framing.units(sample) {
            let pushed = unit.and_then(|nal| self.inner.push(nal, number));
            if let Err(error) = pushed {
                sort_error(error, &mut self.first_error)?;
            }
        }
        self.inner.end_of_access_unit();
        Ok(())
    }

    fn take(&mut self) -> Vec<h264mv::Picture> {
        std::iter::from_fn(|| self.inner.next_picture()).collect()
    }

    fn wrap(&self, pictures: Vec<h264mv::Picture>) -> Vec<Picture> {
        let pool = self.inner.pool();
        let wrap = |p| Picture::new(p, pool.clone());
        pictures.into_iter().map(wrap).collect()
    }
}

/// Framing and parameter sets that `extradata` tells.
pub(crate) fn parameter_sets(
    extradata: &[u8],
    framing: Framing,
) -> PyResult<(Framing, Vec<Vec<u8>>)> {
    if extradata.first() == Some(&1) {
        let config = AvcConfig::parse(extradata).map_err(raise)?;
        return Ok((Framing(Some(config.length_size)), config.parameter_sets));
    }
    let units = AnnexB::new(extradata)
        .map(|(_, nal)| nal.to_vec())
        .collect();
    Ok((framing, units))
}
