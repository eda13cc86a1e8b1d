//! Motion vectors of P and B pictures of MPEG-4 Part 2 (ISO/IEC 14496-2, the codec of XviD and DivX).
//!
//! The crate parses a stream down to macroblock types and vectors, and reconstructs no samples. [`Reader`] takes packets in
//! decoding order; the motion of a picture is parsed when it is asked for. Interlaced coding, data partitioning,
//! sprites and shapes are not supported.
//!
//! Modules, each of which uses only those above it:
//!
//! - `tables`: variable length codes.
//! - `headers`: start codes, headers of layers and pictures.
//! - `block`: coefficients, which are left out.
//! - `field`: motion of a picture.
//! - `macroblock`: what P and B pictures share; `predicted`, `bidirectional`: their macroblocks.
//! - `reader`: pictures of a stream.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod bidirectional;
mod block;
mod field;
mod headers;
mod macroblock;
mod predicted;
mod reader;
mod tables;

pub use bitstream::{Error, Result};

pub use field::{Field, Prediction, Vector};
pub use headers::Kind;
pub use reader::{Picture, Reader};
