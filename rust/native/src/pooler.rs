//! Pooled motion of pictures, without their arrays.

use numpy::{
    PyArray1, PyArray2, PyArray3, PyArrayMethods, PyReadonlyArray2, PyReadonlyArray3,
    PyReadonlyArray4, PyUntypedArrayMethods,
};
use pooling::{Blocks, Mismatch, Structure, Turn, Weights};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::picture::Picture;

/// Averages the motion of pictures over the cells of a grid.
#[pyclass(frozen, module = "mv_tools._native")]
pub(crate) struct Pooler {
    inner: pooling::Pooler,
}

/// Cells of an axis, and the cell and its share of each part [steps, parts].
type Axis<'py> = (
    usize,
    PyReadonlyArray2<'py, i64>,
    PyReadonlyArray2<'py, f32>,
);

#[pymethods]
impl Pooler {
    #[new]
    #[pyo3(signature = (rows, columns, *, turn = (false, false, false), aspect = 1.0, normalize = true))]
    fn new(
        rows: Axis<'_>,
        columns: Axis<'_>,
        turn: (bool, bool, bool),
        aspect: f32,
        normalize: bool,
    ) -> PyResult<Self> {
        let (swaps_sides, mirrors_columns, mirrors_rows) = turn;
        let turn = Turn {
            swaps_sides,
            mirrors_columns,
            mirrors_rows,
        };
        let (rows, columns) = (weights(&rows)?, weights(&columns)?);
        let inner = pooling::Pooler::new(rows, columns, turn, aspect, normalize);
        Ok(Pooler { inner })
    }

    /// Mean flow [2, rows, columns] of a picture.
    fn flow<'py>(
        &self,
        py: Python<'py>,
        picture: &Picture,
        poc_interval: i32,
    ) -> PyResult<Bound<'py, PyArray3<f32>>> {
        py.detach(|| picture.sound().map(drop))?;
        let flow = py.detach(|| {
            let other_parity = picture.parity();
            let blocks = picture.blocks(poc_interval, other_parity.as_deref());
            self.inner.flow(&blocks)
        });
        self.shaped(py, flow)
    }

    /// Mean flow of a frame from its arrays; all references of a list have the same distance.
    fn flow_of_arrays<'py>(
        &self,
        py: Python<'py>,
        mv: PyReadonlyArray4<'py, i16>,
        ref_idx: PyReadonlyArray3<'py, i8>,
        distance: (i32, i32),
    ) -> PyResult<Bound<'py, PyArray3<f32>>> {
        let &[2, rows, columns] = ref_idx.shape() else {
            return Err(PyValueError::new_err("ref_idx is not [2, H4, W4]"));
        };
        let (mv, ref_idx) = (mv.as_slice()?, ref_idx.as_slice()?);
        let flow = py.detach(|| {
            let vectors = mv.as_chunks::<2>().0.iter().zip(ref_idx);
            let mv: Vec<[i16; 2]> = vectors
                .map(|(&vector, &index)| if index < 0 { [0; 2] } else { vector })
                .collect();
            let second = ref_idx[rows * columns..].iter();
            let second = second.map(|&index| if index < 0 { -distance.0 } else { distance.1 });
            let first = std::iter::repeat_n(-distance.0, rows * columns);
            let ref_poc: Vec<i32> = first.chain(second).collect();
            self.inner.flow(&Blocks {
                rows,
                columns,
                mv: &mv,
                ref_idx,
                ref_poc: &ref_poc,
                poc: 0,
                poc_interval: 1,
                structure: Structure::Frame,
                field_blocks: None,
                other_parity: None,
            })
        });
        self.shaped(py, flow)
    }

    /// Share of inter predicted blocks [rows, columns] of a picture.
    fn inter<'py>(
        &self,
        py: Python<'py>,
        picture: &Picture,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        py.detach(|| picture.sound().map(drop))?;
        let shares = py.detach(|| self.inner.inter(&picture.blocks(0, None)));
        let (rows, columns) = self.inner.grid();
        PyArray1::from_vec(py, shares.map_err(refused)?).reshape([rows, columns])
    }
}

impl Pooler {
    fn shaped<'py>(
        &self,
        py: Python<'py>,
        flow: Result<Vec<f32>, Mismatch>,
    ) -> PyResult<Bound<'py, PyArray3<f32>>> {
        let (rows, columns) = self.inner.grid();
        PyArray1::from_vec(py, flow.map_err(refused)?).reshape([2, rows, columns])
    }
}

fn weights((cells, cell, share): &Axis<'_>) -> PyResult<Weights> {
    let (cell, share) = (cell.as_array(), share.as_array());
    let parts = cell.ncols();
    if share.dim() != cell.dim() {
        return Err(PyValueError::new_err("cells and shares differ in shape"));
    }
    // A negative cell becomes one that is out of range.
    let cell = cell.iter().map(|&cell| cell as usize).collect();
    Weights::new(*cells, parts, cell, share.iter().copied().collect()).map_err(refused)
}

fn refused(mismatch: Mismatch) -> PyErr {
    PyValueError::new_err(mismatch.to_string())
}
