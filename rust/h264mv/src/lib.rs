//! Motion vectors of H.264 streams without decoding.
//!
//! The crate parses a stream down to macroblock types, reference indices and motion vector differences
//! and derives the motion of each block by the prediction rules of ITU-T H.264. It performs no
//! dequantisation, transform, sample prediction or deblocking.
//!
//! [`Decoder`] parses a whole stream from its NAL units; [`StreamIndex`] parses headers only, then the
//! motion of chosen pictures. `bitstream::nal` splits files and samples into NAL units.
//!
//! ```
//! use bitstream::nal::AnnexB;
//! use h264mv::{Decoder, Options};
//!
//! # let data = include_bytes!("../tests/data/baseline.264");
//! let mut decoder = Decoder::new(&Options::default());
//! for (offset, nal) in AnnexB::new(data) {
//!     decoder.push(nal, offset as u64)?;
//!     while let Some(picture) = decoder.next_picture() {
//!         println!("POC {}: {} blocks", picture.info.poc, picture.motion.w4() * picture.motion.h4());
//!         decoder.recycle(picture);
//!     }
//! }
//! decoder.finish(); // next_picture() returns the remaining pictures
//! # assert!(decoder.next_picture().is_some());
//! # Ok::<(), h264mv::Error>(())
//! ```
//!
//! Modules, each of which uses only those above it:
//!
//! - `syntax`: NAL unit types, parameter sets, SEI messages, slice headers.
//! - `refs`: picture order count, decoded picture buffer, reference lists.
//! - `motion`: motion field of a picture, the macroblock being parsed, motion prediction.
//! - `entropy`: CABAC and CAVLC readers of macroblock syntax.
//! - `slice_data`: macroblocks of a slice.
//! - `stream`: pictures of a stream, on several threads or by index.
#![forbid(unsafe_code)]
#![warn(missing_docs)]
// Lists, partitions and blocks are numbered by the standard; their numbers index several arrays.
#![allow(clippy::needless_range_loop)]

mod entropy;
mod motion;
mod refs;
mod slice_data;
mod stream;
mod syntax;

pub use bitstream::{Error, Options, Result};

pub use motion::field::{MotionField, Mv, Stats, NO_POC};
pub use motion::ref_poc::RefPoc;
pub use stream::picture::{Picture, PictureInfo};
pub use stream::pool::Pool;
pub use syntax::nal_unit::{is_plausible, nal_unit_type, AvcConfig};
pub use syntax::pps::Pps;
pub use syntax::slice_header::{SliceType, Structure};
pub use syntax::sps::Sps;
pub use syntax::vui::Vui;

/// Parses the motion of an H.264 stream from its NAL units.
pub type Decoder = bitstream::Decoder<stream::header_parser::HeaderParser>;
/// A picture of an H.264 stream that is parsed on demand.
pub type Deferred = bitstream::Deferred<stream::header_parser::HeaderParser>;
/// Headers of an H.264 stream; parses chosen pictures.
pub type StreamIndex = bitstream::StreamIndex<stream::header_parser::HeaderParser>;
