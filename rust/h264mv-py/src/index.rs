//! Random access: headers of all pictures, motion of chosen ones.

use std::collections::HashMap;

use h264mv::{Options, Pool};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::decoder::{parameter_sets, sort_error, Framing};
use crate::picture::{Picture, PictureInfo};
use crate::raise;

/// Headers of a stream's pictures.
#[pyclass(module = "mv_tools._h264mv")]
pub(crate) struct StreamIndex {
    inner: h264mv::StreamIndex,
    framing: Framing,
    first_error: Option<h264mv::Error>,
}

#[pymethods]
impl StreamIndex {
    #[new]
    #[pyo3(signature = (*, length_size = 0, extradata = None))]
    fn new(length_size: usize, extradata: Option<&[u8]>) -> PyResult<Self> {
        let (framing, units) =
            parameter_sets(extradata.unwrap_or(&[]), Framing::new(length_size)?)?;
        let mut inner = h264mv::StreamIndex::new();
        for unit in units {
            inner.push(&unit, u64::MAX).map_err(raise)?;
        }
        Ok(StreamIndex {
            inner,
            framing,
            first_error: None,
        })
    }

    /// Takes a whole access unit.
    fn push(&mut self, py: Python<'_>, sample: &[u8], number: u64) -> PyResult<()> {
        py.detach(|| {
            for unit in self.framing.units(sample) {
                let pushed = unit.and_then(|nal| self.inner.push(nal, number));
                if let Err(error) = pushed {
                    sort_error(error, &mut self.first_error)?;
                }
            }
            self.inner.end_of_access_unit();
            Ok(())
        })
        .map_err(raise)
    }

    fn __len__(&self) -> usize {
        self.inner.len()
    }

    /// What the headers say of the picture at `position` in decoding order.
    fn info(&self, position: usize) -> PyResult<PictureInfo> {
        let info = self.inner.info(position).cloned();
        info.map(PictureInfo)
            .ok_or_else(|| PyIndexError::new_err(position))
    }

    /// Positions in presentation order.
    fn presentation_order(&self) -> Vec<usize> {
        self.inner.presentation_order()
    }

    /// Pictures to parse for those at `positions`, in decoding order.
    fn needed(&self, positions: Vec<usize>) -> Vec<usize> {
        self.inner.needed(&positions)
    }

    /// Numbers of the samples that `parse` wants for `positions`.
    fn samples(&self, positions: Vec<usize>) -> Vec<u64> {
        self.inner.samples(&self.inner.needed(&positions))
    }

    /// Parses the pictures at `positions`, in that order.
    #[pyo3(signature = (positions, samples, *, threads = 1))]
    fn parse(
        &self,
        py: Python<'_>,
        positions: Vec<usize>,
        samples: HashMap<u64, PyBackedBytes>,
        threads: usize,
    ) -> PyResult<Vec<Picture>> {
        let options = Options {
            threads,
            ..Options::default()
        };
        let parsed = py.detach(|| {
            let split = |bytes| {
                self.framing
                    .units(bytes)
                    .into_iter()
                    .map_while(|unit| unit.ok())
                    .collect()
            };
            let units: HashMap<u64, Vec<&[u8]>> = samples
                .iter()
                .map(|(&number, bytes)| (number, split(bytes)))
                .collect();
            let find = |sample: u64, at: u32| units.get(&sample)?.get(at as usize).copied();
            self.inner.parse(&positions, &options, find)
        });
        let pool = Pool::default();
        let pictures = parsed.map_err(raise)?;
        Ok(pictures
            .into_iter()
            .map(|p| Picture::new(p, pool.clone()))
            .collect())
    }

    /// The first error outside of pictures that did not end the stream, or None.
    #[getter]
    fn first_error(&self) -> Option<String> {
        self.first_error.as_ref().map(ToString::to_string)
    }
}
