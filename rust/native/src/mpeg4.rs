//! Motion of MPEG-4 Part 2 pictures.

use mpeg4mv::{Field, Kind};
use numpy::{PyArray1, PyArray3, PyArray4, PyArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::to_python;

/// Reads packets of MPEG-4 Part 2 in decoding order.
#[pyclass(module = "mv_tools._native")]
pub(crate) struct Mpeg4Reader {
    inner: mpeg4mv::Reader,
}

#[pymethods]
impl Mpeg4Reader {
    #[new]
    fn new(extradata: &[u8]) -> Self {
        Mpeg4Reader {
            inner: mpeg4mv::Reader::new(extradata),
        }
    }

    /// The coded pictures of the next packet.
    #[pyo3(signature = (packet, *, fills_a_place = false))]
    fn push(&mut self, py: Python<'_>, packet: &[u8], fills_a_place: bool) -> Vec<Mpeg4Picture> {
        let pictures = py.detach(|| self.inner.push(packet, fills_a_place));
        pictures
            .into_iter()
            .map(|inner| Mpeg4Picture { inner })
            .collect()
    }
}

/// A coded picture, whose motion is parsed when it is asked for.
#[pyclass(frozen, module = "mv_tools._native")]
pub(crate) struct Mpeg4Picture {
    inner: mpeg4mv::Picture,
}

/// mv [2, H4, W4, 2] and ref_idx [2, H4, W4].
type Arrays<'py> = (Bound<'py, PyArray4<i16>>, Bound<'py, PyArray3<i8>>);

#[pymethods]
impl Mpeg4Picture {
    /// "I", "P", "B" or "S".
    #[getter]
    fn pict_type(&self) -> &'static str {
        match self.inner.kind() {
            Kind::I => "I",
            Kind::P => "P",
            Kind::B => "B",
            Kind::S => "S",
        }
    }

    /// Vectors in quarter samples and reference indices of 4x4 blocks, of whole macroblocks.
    fn motion<'py>(&self, py: Python<'py>) -> PyResult<Arrays<'py>> {
        let field = py.detach(|| self.inner.field()).map_err(to_python)?;
        let field = field.ok_or_else(|| PyValueError::new_err("an I picture has no motion"))?;
        let shape = [2, 4 * field.rows(), 4 * field.columns()];
        let (mv, ref_idx) = py.detach(|| grids(&field));
        let mv = PyArray1::from_vec(py, mv).reshape([shape[0], shape[1], shape[2], 2])?;
        Ok((mv, PyArray1::from_vec(py, ref_idx).reshape(shape)?))
    }
}

/// Vectors and reference indices of the 4x4 blocks of both lists.
fn grids(field: &Field) -> (Vec<i16>, Vec<i8>) {
    let (columns, rows) = (4 * field.columns(), 4 * field.rows());
    let unit = if field.quarter_sample { 1 } else { 2 };
    let (mut mv, mut ref_idx) = (
        Vec::with_capacity(4 * columns * rows),
        Vec::with_capacity(2 * columns * rows),
    );
    for list in 0..2 {
        for y in 0..rows {
            for x in 0..columns {
                let vector = field.vectors[list][(y / 2) * (columns / 2) + x / 2];
                mv.extend(vector.map(|value| value.saturating_mul(unit)));
                let prediction = field.predictions[(y / 4) * (columns / 4) + x / 4];
                ref_idx.push(if prediction.lists()[list] { 0 } else { -1 });
            }
        }
    }
    (mv, ref_idx)
}
