//! Read-only NumPy views of a picture's arrays.

use numpy::ndarray::{ArrayView, Dimension, IntoDimension};
use numpy::{Element, PyArray, PyArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A read-only array over `data`, which lives as long as `owner`.
///
/// # Safety
///
/// `owner` must keep `data` alive and unchanged.
pub(crate) unsafe fn view<'py, T: Element, D: Dimension>(
    owner: Bound<'py, PyAny>,
    data: &[T],
    shape: impl IntoDimension<Dim = D>,
) -> PyResult<Bound<'py, PyArray<T, D>>> {
    let shape = shape.into_dimension();
    let view =
        ArrayView::from_shape(shape, data).map_err(|e| PyValueError::new_err(e.to_string()))?;
    // SAFETY: the caller's promise; the array is made read-only before anybody sees it.
    let array = unsafe { PyArray::borrow_from_array(&view, owner) };
    array.readwrite().make_nonwriteable();
    Ok(array)
}
