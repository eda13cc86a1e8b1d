//! Motion vectors of HEVC without decoding.
//!
//! The crate parses a stream down to prediction units and derives their motion by the standard's
//! rules (ITU-T H.265). It never dequantises, transforms, predicts, compensates or filters a sample.
#![forbid(unsafe_code)]
#![warn(missing_docs)]
// Lists, parts and components are numbered by the standard: their numbers index several arrays.
#![allow(clippy::needless_range_loop)]

mod entropy;
mod fill;
mod motion;
mod refs;
mod slice_data;
mod stream;
mod syntax;

pub use bitstream::nal::{AnnexB, Framing, LengthPrefixed};
pub use bitstream::{Error, Options, Result};

pub use motion::field::{Motion, Mv, Stats, NO_POC};
pub use refs::RefPic;
pub use stream::picture::Picture;
pub use stream::plan::PictureInfo;
pub use stream::pool::Pool;
pub use syntax::nal::{is_plausible, unit, HevcConfig, NalHeader};
pub use syntax::pps::Pps;
pub use syntax::slice::SliceType;
pub use syntax::sps::Sps;
pub use syntax::vui::Vui;

/// Parses the motion of an HEVC stream from its NAL units.
pub type Decoder = bitstream::Decoder<stream::header_parser::HeaderParser>;
/// Headers of an HEVC stream; parses chosen pictures.
pub type StreamIndex = bitstream::StreamIndex<stream::header_parser::HeaderParser>;
