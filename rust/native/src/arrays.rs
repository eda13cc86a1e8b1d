//! Read-only NumPy views.

use numpy::ndarray::{ArrayView, Dimension, IntoDimension};
use numpy::{Element, PyArray, PyArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A read-only array over `data` that keeps `owner` alive.
///
/// # Safety
///
/// While it is alive, `owner` must keep `data` in place and unchanged.
pub(crate) unsafe fn view<'py, T: Element, D: Dimension>(
    owner: Bound<'py, PyAny>,
    data: &[T],
    shape: impl IntoDimension<Dim = D>,
) -> PyResult<Bound<'py, PyArray<T, D>>> {
    let shape = shape.into_dimension();
    let view =
        ArrayView::from_shape(shape, data).map_err(|e| PyValueError::new_err(e.to_string()))?;
    // SAFETY: guaranteed by the caller; nothing can write to the array before it is made read-only.
    let array = unsafe { PyArray::borrow_from_array(&view, owner) };
    array.readwrite().make_nonwriteable();
    Ok(array)
}
