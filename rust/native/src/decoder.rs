//! Streaming: samples in, pictures out, in decoding order.

use bitstream::nal::Framing;
use bitstream::{Error, Options, Result};
use pyo3::prelude::*;

use crate::codec::{self, Codec};
use crate::framing::{feed, feed_units, framing};
use crate::picture::Picture;
use crate::to_python;

/// Parses pictures from samples, in decoding order.
#[pyclass(module = "mv_tools._native")]
pub(crate) struct Decoder {
    inner: codec::Decoder,
    stream: (Codec, Framing),
    first_error: Option<Error>,
    /// Since the last [`Decoder::take_error`].
    error: Option<Error>,
}

#[pymethods]
impl Decoder {
    /// `extradata` is an avcC or hvcC record or Annex B parameter sets; `length_size` is taken from the record. With
    /// `deferred`, slice data of H.264 pictures are parsed when their motion is asked for, where that is possible.
    #[new]
    #[pyo3(signature = (*, codec = "h264", threads = 1, length_size = 0, extradata = None, intra = true, deferred = false))]
    fn new(
        codec: &str,
        threads: usize,
        length_size: usize,
        extradata: Option<&[u8]>,
        intra: bool,
        deferred: bool,
    ) -> PyResult<Self> {
        let codec = Codec::from_name(codec)?;
        let declared = framing(length_size)?;
        let configuration = codec.configuration(declared, extradata.unwrap_or(&[]));
        let (framing, units) = configuration.map_err(to_python)?;
        let options = Options { threads, intra };
        let mut inner = match deferred {
            true => codec::Decoder::deferring(codec, &options),
            false => codec::Decoder::new(codec, &options),
        };
        let first_error = feed_units(&mut inner, &units).map_err(to_python)?;
        Ok(Decoder {
            inner,
            stream: (codec, framing),
            error: first_error.clone(),
            first_error,
        })
    }

    /// Parses an access unit; returns the pictures that are ready.
    fn push(&mut self, py: Python<'_>, sample: &[u8], number: u64) -> PyResult<Vec<Picture>> {
        let pictures = py.detach(|| {
            self.feed(sample, number)?;
            Ok(self.inner.take())
        });
        pictures.map(wrap).map_err(to_python)
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
            Ok(self.inner.take())
        });
        pictures.map(wrap).map_err(to_python)
    }

    /// Whether a sample holds data of a picture; true of one that can't be divided into units.
    fn holds_picture(&self, sample: &[u8]) -> bool {
        let (codec, declared) = self.stream;
        let mut units = codec.framing_of(declared, sample).units(sample);
        units.any(|unit| {
            unit.map_or(true, |nal| {
                nal.first()
                    .is_some_and(|&first| codec.is_picture_data(first))
            })
        })
    }

    /// Returns the pictures that are ready, and the last one if it is a picture of I slices that would wait
    /// for the next.
    fn release(&mut self, py: Python<'_>) -> Vec<Picture> {
        let pictures = py.detach(|| {
            self.inner.release();
            self.inner.take()
        });
        wrap(pictures)
    }

    /// Ends the stream; returns the remaining pictures.
    fn finish(&mut self, py: Python<'_>) -> Vec<Picture> {
        let pictures = py.detach(|| {
            self.inner.finish();
            self.inner.take()
        });
        wrap(pictures)
    }

    /// The first error outside pictures that did not end the stream.
    #[getter]
    fn first_error(&self) -> Option<String> {
        self.first_error.as_ref().map(ToString::to_string)
    }

    /// The first error outside pictures since the last call.
    fn take_error(&mut self) -> Option<String> {
        self.error.take().map(|error| error.to_string())
    }
}

impl Decoder {
    fn feed(&mut self, sample: &[u8], number: u64) -> Result<()> {
        let error = feed(&mut self.inner, self.stream, sample, number)?;
        self.first_error = self.first_error.take().or_else(|| error.clone());
        self.error = self.error.take().or(error);
        Ok(())
    }
}

fn wrap(pictures: Vec<codec::Output>) -> Vec<Picture> {
    pictures.into_iter().map(Picture::from).collect()
}
