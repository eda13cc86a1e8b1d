//! Python binding of `h264mv`, `h265mv`, `mpeg4mv`, `mp4tables` and `pooling`: converts arrays and errors, and has no logic of its
//! own.

mod arrays;
mod codec;
mod decoder;
mod framing;
mod index;
mod mp4;
mod mpeg4;
mod picture;
mod pooler;
mod starts;

use bitstream::Error;
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

create_exception!(
    _native,
    NativeError,
    PyException,
    "Base class of the errors of this module."
);
create_exception!(
    _native,
    MalformedError,
    NativeError,
    "The stream is damaged or truncated."
);
create_exception!(
    _native,
    UnsupportedError,
    NativeError,
    "The stream uses an unsupported feature."
);
create_exception!(
    _native,
    LimitError,
    NativeError,
    "A size exceeds the limits of the standard."
);
create_exception!(
    _native,
    UnfitError,
    NativeError,
    "The tables of a file are not used; it should be read with libavformat."
);

/// The Python exception of an error.
pub(crate) fn to_python(error: Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::Malformed { .. } | Error::LostReference { .. } => MalformedError::new_err(text),
        Error::Unsupported { .. } => UnsupportedError::new_err(text),
        _ => LimitError::new_err(text),
    }
}

#[pymodule]
fn _native(m: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = m.py();
    m.add("NativeError", py.get_type::<NativeError>())?;
    m.add("LimitError", py.get_type::<LimitError>())?;
    m.add("MalformedError", py.get_type::<MalformedError>())?;
    m.add("UnsupportedError", py.get_type::<UnsupportedError>())?;
    m.add("UnfitError", py.get_type::<UnfitError>())?;
    m.add_class::<mp4::ByteSource>()?;
    m.add_class::<mp4::Mp4Track>()?;
    m.add_class::<decoder::Decoder>()?;
    m.add_class::<index::StreamIndex>()?;
    m.add_class::<mpeg4::Mpeg4Picture>()?;
    m.add_class::<mpeg4::Mpeg4Reader>()?;
    m.add_class::<picture::Picture>()?;
    m.add_class::<picture::PictureInfo>()?;
    m.add_class::<pooler::Pooler>()?;
    Ok(())
}
