//! Motion of MPEG-4 Part 2 pictures.

use mpeg4mv::{Field, Kind};
use numpy::{PyArray1, PyArray3, PyArray4, PyArrayMethods};
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

    /// Why motion of the stream can't be read, as far as headers tell.
    #[getter]
    fn refusal(&self) -> Option<String> {
        self.inner.check().err().map(|error| error.to_string())
    }

    /// Number of different layers so far.
    #[getter]
    fn layers(&self) -> usize {
        self.inner.layers()
    }

    /// Whether the stream has no B pictures; None where its headers do not tell, or change.
    #[getter]
    fn low_delay(&self) -> Option<bool> {
        self.inner.low_delay()
    }

    /// The pictures of the next packet.
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

    /// Whether it has no data of its own and shows the picture before again.
    #[getter]
    fn repeats(&self) -> bool {
        self.inner.repeats()
    }

    /// Whether it can't be read, as far as its header and size tell.
    #[getter]
    fn is_cut(&self) -> bool {
        self.inner.is_cut()
    }

    /// Its time in seconds; None where its header can't be read.
    #[getter]
    fn time(&self) -> Option<f64> {
        self.inner.time()
    }

    /// Seconds since the I or P picture before and until the one after.
    #[getter]
    fn reference_seconds(&self) -> Option<(f64, f64)> {
        self.inner.reference_seconds()
    }

    /// Vectors in quarter samples, zero in I pictures, and reference indices of 4x4 blocks, of whole macroblocks.
    fn motion<'py>(&self, py: Python<'py>) -> PyResult<Arrays<'py>> {
        let field = py.detach(|| self.inner.field()).map_err(to_python)?;
        let shape = match &field {
            Some(field) => [2, 4 * field.rows(), 4 * field.columns()],
            None => {
                let (columns, rows) = self.inner.macroblocks().unwrap_or_default();
                [2, 4 * rows, 4 * columns]
            }
        };
        let size = shape.iter().product();
        let (mv, ref_idx) = match field {
            Some(field) => py.detach(|| grids(&field)),
            None => (vec![0; 2 * size], vec![-1; size]),
        };
        let mv = PyArray1::from_vec(py, mv).reshape([shape[0], shape[1], shape[2], 2])?;
        Ok((mv, PyArray1::from_vec(py, ref_idx).reshape(shape)?))
    }
}

/// Vectors and reference indices of the 4x4 blocks of both lists.
fn grids(field: &Field) -> (Vec<i16>, Vec<i8>) {
    let (columns, rows) = (field.columns(), field.rows());
    let unit = if field.quarter_sample { 1 } else { 2 };
    let (mut mv, mut ref_idx) = (
        Vec::with_capacity(64 * columns * rows),
        Vec::with_capacity(32 * columns * rows),
    );
    for list in 0..2 {
        for row in field.vectors[list].chunks_exact(2 * columns) {
            let start = mv.len();
            for vector in row {
                let [x, y] = vector.map(|value| value.saturating_mul(unit));
                mv.extend([x, y, x, y]);
            }
            mv.extend_from_within(start..);
        }
        for row in field.predictions.chunks_exact(columns) {
            let start = ref_idx.len();
            for prediction in row {
                ref_idx.extend([if prediction.lists()[list] { 0 } else { -1 }; 4]);
            }
            let one = start..ref_idx.len();
            for _ in 0..3 {
                ref_idx.extend_from_within(one.clone());
            }
        }
    }
    (mv, ref_idx)
}
