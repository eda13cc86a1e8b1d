//! Random access: headers of all pictures, motion of chosen ones.

use std::collections::HashMap;

use bitstream::nal::Framing;
use bitstream::{Error, Options};
use numpy::PyReadonlyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};

use crate::codec::{self, Codec};
use crate::framing::{feed, feed_units, framing};
use crate::mp4::{natural, ByteSource};
use crate::picture::{self, Picture, PictureInfo};
use crate::starts::{self, StartReader};
use crate::to_python;

/// Headers of a stream's pictures; parses chosen ones.
#[pyclass(module = "mv_tools._native")]
pub(crate) struct StreamIndex {
    inner: codec::StreamIndex,
    stream: (Codec, Framing),
    /// NAL units of the configuration record.
    configuration: Vec<Vec<u8>>,
    first_error: Option<Error>,
}

#[pymethods]
impl StreamIndex {
    #[new]
    #[pyo3(signature = (*, codec = "h264", length_size = 0, extradata = None))]
    fn new(codec: &str, length_size: usize, extradata: Option<&[u8]>) -> PyResult<Self> {
        let codec = Codec::from_name(codec)?;
        let declared = framing(length_size)?;
        let configuration = codec.configuration(declared, extradata.unwrap_or(&[]));
        let (framing, units) = configuration.map_err(to_python)?;
        let mut inner = codec::StreamIndex::new(codec);
        let first_error = feed_units(&mut inner, &units).map_err(to_python)?;
        Ok(StreamIndex {
            inner,
            stream: (codec, framing),
            configuration: units,
            first_error,
        })
    }

    /// Rebuilds the index that returned `log`.
    #[staticmethod]
    #[pyo3(signature = (log, *, codec = "h264", length_size))]
    fn from_log(
        py: Python<'_>,
        log: PyBackedBytes,
        codec: &str,
        length_size: usize,
    ) -> PyResult<Self> {
        let codec = Codec::from_name(codec)?;
        let framing = framing(length_size)?;
        let inner = py.detach(|| codec::StreamIndex::from_log(codec, &log));
        Ok(StreamIndex {
            inner: inner.map_err(to_python)?,
            stream: (codec, framing),
            configuration: Vec::new(),
            first_error: None,
        })
    }

    /// Bytes of the lengths before NAL units, 0 for start codes.
    #[getter]
    fn length_size(&self) -> usize {
        match self.stream.1 {
            Framing::StartCodes => 0,
            Framing::Lengths(size) => size,
        }
    }

    /// The index in saved form.
    fn log<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.inner.log())
    }

    /// Adds access units numbered from `first`.
    fn push_many(
        &mut self,
        py: Python<'_>,
        samples: Vec<PyBackedBytes>,
        first: u64,
    ) -> PyResult<()> {
        let (index, stream) = (&mut self.inner, self.stream);
        let first_error = py.detach(|| {
            (first..)
                .zip(&samples)
                .try_fold(None, |before, (number, sample)| {
                    Ok(before.or(feed(index, stream, sample, number)?))
                })
        });
        let error = first_error.map_err(to_python)?;
        self.first_error = self.first_error.take().or(error);
        Ok(())
    }

    /// Adds access units numbered from `first`, reading the start of each NAL unit only. Returns whether
    /// they hold parameter sets that the configuration record does not.
    fn push_starts(
        &mut self,
        py: Python<'_>,
        source: &ByteSource,
        position: PyReadonlyArray1<'_, i64>,
        size: PyReadonlyArray1<'_, i64>,
        first: u64,
    ) -> PyResult<bool> {
        let (positions, sizes) = (position.as_slice()?, size.as_slice()?);
        natural(positions)?;
        natural(sizes)?;
        let mut reader = StartReader::new(source, self.stream, &self.configuration);
        let index = &mut self.inner;
        let result = py.detach(|| {
            let mut samples = (first..).zip(positions.iter().zip(sizes));
            samples.try_for_each(|(number, (&position, &size))| {
                reader.push(index, number, position as u64, size as u64)
            })
        });
        self.first_error = self.first_error.take().or(reader.first_error);
        result.map_err(starts::to_python)?;
        Ok(reader.new_parameter_sets)
    }

    /// Slices that could not be added to a picture: sample number and error.
    fn errors(&self) -> Vec<(u64, String)> {
        self.inner.errors()
    }

    /// Sample numbers of pictures that are not decoded, since pictures that they refer to are missing.
    fn skipped_leading(&self) -> Vec<u64> {
        self.inner.skipped_leading()
    }

    /// Whether layers above the base layer are left out.
    #[getter]
    fn has_layers(&self) -> bool {
        self.inner.has_layers()
    }

    /// Difference in PicOrderCnt between consecutive frames.
    fn poc_interval(&self) -> i64 {
        self.inner.poc_interval()
    }

    #[getter]
    fn num_reorder_frames(&self) -> PyResult<Option<u32>> {
        self.first().map(|info| info.num_reorder_frames)
    }

    #[getter]
    fn max_dec_frame_buffering(&self) -> PyResult<Option<u32>> {
        self.first().map(|info| info.max_dec_frame_buffering)
    }

    #[getter]
    fn frame_mbs_only(&self) -> PyResult<bool> {
        self.first().map(|info| info.frame_mbs_only)
    }

    #[getter]
    fn gaps_allowed(&self) -> PyResult<bool> {
        self.first().map(|info| info.gaps_allowed)
    }

    #[getter]
    fn sar(&self) -> PyResult<Option<(u16, u16)>> {
        self.first().map(|info| info.sar)
    }

    #[getter]
    fn frame_cropping(&self) -> PyResult<(u32, u32, u32, u32)> {
        self.first().map(|info| info.frame_cropping)
    }

    /// Header information of the pictures at `first` and behind it.
    #[pyo3(signature = (first = 0))]
    fn infos(&self, first: usize) -> Vec<PictureInfo> {
        let info = |i| PictureInfo::of_index(&self.inner, i);
        (first..self.inner.len()).filter_map(info).collect()
    }

    /// What numbering needs of the pictures at `first` and behind it, as arrays.
    #[pyo3(signature = (first = 0))]
    fn columns<'py>(&self, py: Python<'py>, first: usize) -> PyResult<Bound<'py, PyDict>> {
        picture::columns(py, &self.infos(first))
    }

    fn __len__(&self) -> usize {
        self.inner.len()
    }

    /// Sample number of each picture.
    fn picture_samples(&self) -> Vec<u64> {
        self.infos(0).iter().map(|info| info.sample).collect()
    }

    /// Positions in presentation order.
    fn presentation_order(&self) -> Vec<usize> {
        self.inner.presentation_order()
    }

    /// Positions of the pictures to parse for those at `positions`, in decoding order.
    fn needed(&self, positions: Vec<usize>) -> Vec<usize> {
        self.inner.needed(&positions)
    }

    /// Sample numbers that `parse` requires for `positions`.
    #[pyo3(signature = (positions, *, intra = true))]
    fn samples(&self, positions: Vec<usize>, intra: bool) -> Vec<u64> {
        let options = Options {
            intra,
            ..Options::default()
        };
        self.inner.samples(&self.inner.needed(&positions), &options)
    }

    /// Parses the pictures at `positions` and returns them in that order.
    #[pyo3(signature = (positions, samples, *, threads = 1, intra = true))]
    fn parse(
        &self,
        py: Python<'_>,
        positions: Vec<usize>,
        samples: HashMap<u64, PyBackedBytes>,
        threads: usize,
        intra: bool,
    ) -> PyResult<Vec<Picture>> {
        let parsed = py.detach(|| {
            let split = |bytes| {
                let (codec, declared) = self.stream;
                let framing = codec.framing_of(declared, bytes);
                framing.units(bytes).map_while(|unit| unit.ok()).collect()
            };
            let units: HashMap<u64, Vec<&[u8]>> = samples
                .iter()
                .map(|(&number, bytes)| (number, split(bytes)))
                .collect();
            let find = |sample: u64, at: u32| units.get(&sample)?.get(at as usize).copied();
            self.inner
                .parse(&positions, &Options { threads, intra }, find)
        });
        let pictures = parsed.map_err(to_python)?;
        Ok(pictures.into_iter().map(Picture::from).collect())
    }

    /// The first error outside pictures that did not end the stream.
    #[getter]
    fn first_error(&self) -> Option<String> {
        self.first_error.as_ref().map(ToString::to_string)
    }
}

impl StreamIndex {
    /// The first picture, whose parameter set describes the stream.
    fn first(&self) -> PyResult<PictureInfo> {
        let info = PictureInfo::of_index(&self.inner, 0);
        info.ok_or_else(|| PyValueError::new_err("the index holds no picture"))
    }
}
