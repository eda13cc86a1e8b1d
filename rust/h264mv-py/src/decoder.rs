//! Streaming: samples in, pictures out, in decoding order.

use bitstream::nal::Framing;
use h264mv::Options;
use pyo3::prelude::*;

use crate::framing::{feed, feed_units, with_parameter_sets, Sink};
use crate::picture::Picture;
use crate::to_python;

impl Sink for h264mv::Decoder {
    fn unit(&mut self, nal: &[u8], sample: u64) -> h264mv::Result<()> {
        self.push(nal, sample)
    }

    fn end_of_access_unit(&mut self) {
        h264mv::Decoder::end_of_access_unit(self);
    }
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
    #[pyo3(signature = (*, threads = 1, length_size = 0, extradata = None, intra = true))]
    fn new(
        threads: usize,
        length_size: usize,
        extradata: Option<&[u8]>,
        intra: bool,
    ) -> PyResult<Self> {
        let options = Options { threads, intra };
        let (framing, units) = with_parameter_sets(length_size, extradata)?;
        let mut inner = h264mv::Decoder::new(&options);
        let first_error = feed_units(&mut inner, &units).map_err(to_python)?;
        Ok(Decoder {
            inner,
            framing,
            first_error,
        })
    }

    /// Parses an access unit; returns the pictures that are ready.
    fn push(&mut self, py: Python<'_>, sample: &[u8], number: u64) -> PyResult<Vec<Picture>> {
        let pictures = py.detach(|| {
            self.feed(sample, number)?;
            Ok(self.take())
        });
        pictures.map(|p| self.wrap(p)).map_err(to_python)
    }

    /// Parses access units numbered from `first`; returns the pictures that are ready.
    fn push_many(
        &mut self,
        py: Python<'_>,
        samples: Vec<pyo3::pybacked::PyBackedBytes>,
        first: u64,
    ) -> PyResult<Vec<Picture>> {
        let pictures = py.detach(|| {
            for (number, sample) in (first..).zip(&samples) {
                self.feed(sample, number)?;
            }
            Ok(self.take())
        });
        pictures.map(|p| self.wrap(p)).map_err(to_python)
    }

    /// Ends the stream; returns the remaining pictures.
    fn finish(&mut self, py: Python<'_>) -> Vec<Picture> {
        let pictures = py.detach(|| {
            self.inner.finish();
            self.take()
        });
        self.wrap(pictures)
    }

    /// The first error outside pictures that did not end the stream.
    #[getter]
    fn first_error(&self) -> Option<String> {
        self.first_error.as_ref().map(ToString::to_string)
    }
}

impl Decoder {
    fn feed(&mut self, sample: &[u8], number: u64) -> h264mv::Result<()> {
        let error = feed(&mut self.inner, self.framing, sample, number)?;
        self.first_error = self.first_error.take().or(error);
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
