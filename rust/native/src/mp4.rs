//! Tables of MP4 files, and the bytes that they are read from.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use mp4tables::{Codec, Error, FileBytes, Movie, ReadAt, Samples};
use numpy::PyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};

use crate::UnfitError;

/// Bytes that can be read at any offset.
#[pyclass(frozen, module = "mv_tools._native")]
pub(crate) struct ByteSource {
    inner: Inner,
}

enum Inner {
    File(FileBytes),
    Memory(PyBackedBytes),
    Object { object: Py<PyAny>, size: u64 },
}

#[pymethods]
impl ByteSource {
    /// Takes a path, bytes, or an object with `size` and `read_at(offset, size) -> bytes`.
    #[new]
    fn new(source: &Bound<'_, PyAny>) -> PyResult<Self> {
        let inner = if let Ok(bytes) = source.extract::<PyBackedBytes>() {
            Inner::Memory(bytes)
        } else if source.hasattr("read_at")? {
            Inner::Object {
                object: source.clone().unbind(),
                size: source.getattr("size")?.extract()?,
            }
        } else {
            Inner::File(FileBytes::new(File::open(source.extract::<PathBuf>()?)?)?)
        };
        Ok(ByteSource { inner })
    }

    /// Number of bytes.
    #[getter]
    fn size(&self) -> u64 {
        ReadAt::size(self)
    }

    /// The bytes at `offset`.
    fn read_at<'py>(
        &self,
        py: Python<'py>,
        offset: u64,
        size: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let inside = offset
            .checked_add(size as u64)
            .is_some_and(|end| end <= ReadAt::size(self));
        if !inside {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        PyBytes::new_with(py, size, |buffer| {
            py.detach(|| self.read_exact_at(offset, buffer).map_err(PyErr::from))
        })
    }
}

impl ReadAt for ByteSource {
    fn size(&self) -> u64 {
        match &self.inner {
            Inner::File(file) => file.size(),
            Inner::Memory(bytes) => bytes.len() as u64,
            Inner::Object { size, .. } => *size,
        }
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match &self.inner {
            Inner::File(file) => file.read_exact_at(offset, buffer),
            Inner::Memory(bytes) => bytes.read_exact_at(offset, buffer),
            Inner::Object { object, .. } => {
                let bytes = Python::attach(|py| {
                    let result = object.call_method1(py, "read_at", (offset, buffer.len()))?;
                    result.extract::<PyBackedBytes>(py)
                });
                let bytes = bytes.map_err(io::Error::other)?;
                if bytes.len() != buffer.len() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                buffer.copy_from_slice(&bytes);
                Ok(())
            }
        }
    }
}

/// The Python exception of an error.
pub(crate) fn to_python(error: Error) -> PyErr {
    match error {
        Error::Io(error) => error.into(),
        Error::Unfit(reason) => UnfitError::new_err(reason),
    }
}

/// The first video track of an MP4 or QuickTime file.
#[pyclass(frozen, module = "mv_tools._native")]
pub(crate) struct Mp4Track {
    movie: Movie,
}

#[pymethods]
impl Mp4Track {
    /// Reads the tables of a file.
    #[new]
    fn new(py: Python<'_>, source: &ByteSource) -> PyResult<Self> {
        let movie = py.detach(|| Movie::read(source)).map_err(to_python)?;
        Ok(Mp4Track { movie })
    }

    /// FFmpeg's name of the codec.
    #[getter]
    fn codec(&self) -> &'static str {
        match self.movie.track.codec {
            Codec::H264 => "h264",
            Codec::Hevc => "hevc",
        }
    }

    /// Whether samples are in movie fragments.
    #[getter]
    fn fragmented(&self) -> bool {
        self.movie.fragmented
    }

    /// The avcC or hvcC record.
    #[getter]
    fn configuration<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.movie.track.configuration)
    }

    /// Width and height of the coded pictures.
    #[getter]
    fn picture_size(&self) -> (u16, u16) {
        (self.movie.track.width, self.movie.track.height)
    }

    /// Ticks per second.
    #[getter]
    fn time_scale(&self) -> u32 {
        self.movie.track.time_scale
    }

    /// Duration in ticks.
    #[getter]
    fn duration(&self) -> Option<i64> {
        self.movie.track.duration
    }

    /// Samples and the sum of their durations in ticks.
    #[getter]
    fn rate(&self) -> Option<(u64, u64)> {
        self.movie.track.rate
    }

    /// Display matrix, row by row.
    #[getter]
    fn matrix(&self) -> Vec<i32> {
        self.movie.track.matrix.to_vec()
    }

    /// Sample aspect ratio of the container.
    #[getter]
    fn aspect(&self) -> Option<(u32, u32)> {
        self.movie.track.aspect
    }

    fn __len__(&self) -> usize {
        self.movie.track.samples.len()
    }

    /// The samples in decoding order, as arrays.
    fn columns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let samples: &Samples = &self.movie.track.samples;
        let columns = PyDict::new(py);
        let integers = [
            ("pts", &samples.pts),
            ("dts", &samples.dts),
            ("duration", &samples.duration),
            ("size", &samples.size),
            ("position", &samples.position),
        ];
        for (name, values) in integers {
            columns.set_item(name, PyArray1::from_slice(py, values))?;
        }
        for (name, values) in [("keyframe", &samples.key), ("displayed", &samples.shown)] {
            columns.set_item(name, PyArray1::from_slice(py, values))?;
        }
        Ok(columns)
    }
}

/// Refuses a negative position or size from Python.
pub(crate) fn natural(values: &[i64]) -> PyResult<()> {
    match values.iter().all(|&value| value >= 0) {
        true => Ok(()),
        false => Err(PyValueError::new_err("a position or size is negative")),
    }
}
