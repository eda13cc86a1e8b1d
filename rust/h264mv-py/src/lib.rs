//! Python binding of `h264mv`: arrays out, errors mapped, nothing else.

mod arrays;
mod decoder;
mod framing;
mod index;
mod picture;

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

create_exception!(
    _h264mv,
    H264Error,
    PyException,
    "Root of this module's errors."
);
create_exception!(
    _h264mv,
    MalformedError,
    H264Error,
    "The bits break the syntax."
);
create_exception!(
    _h264mv,
    UnsupportedError,
    H264Error,
    "A feature that is not parsed."
);
create_exception!(
    _h264mv,
    LimitError,
    H264Error,
    "A size beyond the standard's limits."
);

/// Maps an error of the core to its Python exception.
pub(crate) fn raise(error: h264mv::Error) -> PyErr {
    let text = error.to_string();
    match error {
        h264mv::Error::Malformed { .. } | h264mv::Error::LostReference { .. } => {
            MalformedError::new_err(text)
        }
        h264mv::Error::Unsupported { .. } => UnsupportedError::new_err(text),
        _ => LimitError::new_err(text),
    }
}

#[pymodule]
fn _h264mv(m: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = m.py();
    m.add("H264Error", py.get_type::<H264Error>())?;
    m.add("LimitError", py.get_type::<LimitError>())?;
    m.add("MalformedError", py.get_type::<MalformedError>())?;
    m.add("UnsupportedError", py.get_type::<UnsupportedError>())?;
    m.add_class::<decoder::Decoder>()?;
    m.add_class::<index::StreamIndex>()?;
    m.add_class::<picture::Picture>()?;
    m.add_class::<picture::PictureInfo>()?;
    Ok(())
}
