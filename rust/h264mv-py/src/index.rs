//! Random access: headers of all pictures, motion of chosen ones.

use std::collections::HashMap;

use bitstream::nal::Framing;
use h264mv::{Options, Pool};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::framing::{feed, feed_units, framing, with_parameter_sets, Sink};
use crate::picture::{Picture, PictureInfo};
use crate::to_python;

/// Headers of a stream's pictures; parses chosen ones.
#[pyclass(module = "mv_tools._h264mv")]
pub(crate) struct StreamIndex {
    inner: h264mv::StreamIndex,
    framing: Framing,
    first_error: Option<h264mv::Error>,
}

impl Sink for h264mv::StreamIndex {
    fn unit(&mut self, nal: &[u8], sample: u64) -> h264mv::Result<()> {
        self.push(nal, sample)
    }

    fn broken_sample(&mut self, sample: u64, error: &h264mv::Error) {
        self.record_error(sample, error.clone());
    }

    fn end_of_access_unit(&mut self) {
        h264mv::StreamIndex::end_of_access_unit(self);
    }
}

#[pymethods]
impl StreamIndex {
    #[new]
    #[pyo3(signature = (*, length_size = 0, extradata = None))]
    fn new(length_size: usize, extradata: Option<&[u8]>) -> PyResult<Self> {
        let (framing, units) = with_parameter_sets(length_size, extradata)?;
        let mut inner = h264mv::StreamIndex::new();
        let first_error = feed_units(&mut inner, &units).map_err(to_python)?;
        Ok(StreamIndex {
            inner,
            framing,
            first_error,
        })
    }

    /// Rebuilds the index that returned `log`.
    #[staticmethod]
    #[pyo3(signature = (log, *, length_size))]
    fn from_log(py: Python<'_>, log: PyBackedBytes, length_size: usize) -> PyResult<Self> {
        let framing = framing(length_size)?;
        let inner = py.detach(|| h264mv::StreamIndex::from_log(&log));
        Ok(StreamIndex {
            inner: inner.map_err(to_python)?,
            framing,
            first_error: None,
        })
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
        let (index, framing) = (&mut self.inner, self.framing);
        let first_error = py.detach(|| {
            (first..)
                .zip(&samples)
                .try_fold(None, |before, (number, sample)| {
                    Ok(before.or(feed(index, framing, sample, number)?))
                })
        });
        let error = first_error.map_err(to_python)?;
        self.first_error = self.first_error.take().or(error);
        Ok(())
    }

    /// Slices that could not be added to a picture: sample number and error.
    fn errors(&self) -> Vec<(u64, String)> {
        let errors = self.inner.errors().iter();
        errors.map(|(sample, e)| (*sample, e.to_string())).collect()
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

    /// Header information of all pictures.
    fn infos(&self) -> Vec<PictureInfo> {
        let info = |i| self.inner.info(i).map(PictureInfo::from);
        (0..self.inner.len()).filter_map(info).collect()
    }

    fn __len__(&self) -> usize {
        self.inner.len()
    }

    /// Sample number of each picture.
    fn picture_samples(&self) -> Vec<u64> {
        let sample = |i| self.inner.info(i).map(|info| info.sample);
        (0..self.inner.len()).filter_map(sample).collect()
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
        let options = Options { threads, intra };
        let parsed = py.detach(|| {
            let split = |bytes| {
                let framing = self.framing.detect(bytes, h264mv::is_plausible);
                framing.units(bytes).map_while(|unit| unit.ok()).collect()
            };
            let units: HashMap<u64, Vec<&[u8]>> = samples
                .iter()
                .map(|(&number, bytes)| (number, split(bytes)))
                .collect();
            let find = |sample: u64, at: u32| units.get(&sample)?.get(at as usize).copied();
            self.inner.parse(&positions, &options, find)
        });
        let pool = Pool::default();
        let pictures = parsed.map_err(to_python)?;
        Ok(pictures
            .into_iter()
            .map(|p| Picture::new(p, pool.clone()))
            .collect())
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
        let info = self.inner.info(0).map(PictureInfo::from);
        info.ok_or_else(|| PyValueError::new_err("the index holds no picture"))
    }
}
