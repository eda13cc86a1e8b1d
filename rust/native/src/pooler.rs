//! Pooled motion of pictures, without their arrays.

use numpy::{PyArray1, PyArray2, PyArray3, PyArrayMethods, PyReadonlyArray2};
use pooling::{Mismatch, Turn, Weights};
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
        let (rows, columns) = self.inner.grid();
        PyArray1::from_vec(py, flow.map_err(refused)?).reshape([2, rows, columns])
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
