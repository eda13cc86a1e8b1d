//! What the video parsers of this workspace share: nothing here knows a codec.
//!
//! Bits: [`nal`] (NAL units in byte streams and in samples with length prefixes, emulation prevention),
//! [`BitReader`] (fixed-length and Exp-Golomb codes of an RBSP), [`cabac`] (the arithmetic decoding engine
//! with its probability state tables), [`sample_aspect_ratio`]. H.264 (ITU-T H.264) and HEVC (ITU-T H.265)
//! share these parts; clause numbers are those of H.264.
//!
//! Streams: [`Decoder`] reads a stream in order, [`StreamIndex`] chosen pictures of it; it can be saved as
//! an [`index_log`]. Both parse pictures in a [`Pipeline`] of threads and are generic over [`codec`], which
//! lists what a codec provides.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod bit_reader;
pub mod cabac;
pub mod codec;
mod decoder;
mod deferred;
mod error;
mod index;
pub mod index_log;
pub mod nal;
mod options;
mod pipeline;
mod sample_aspect_ratio;

pub use bit_reader::BitReader;
pub use decoder::{Decoder, Output};
pub use deferred::Deferred;
pub use error::{Block, Error, Malformed, Place, Result};
pub use index::StreamIndex;
pub use options::Options;
pub use pipeline::Pipeline;
pub use sample_aspect_ratio::sample_aspect_ratio;
