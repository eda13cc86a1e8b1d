//! Bitstream layer shared by the video parsers of this workspace: nothing here knows a codec.
//!
//! - [`nal`]: NAL units in byte streams (Annex B) and in samples with length prefixes; emulation
//!   prevention.
//! - [`BitReader`]: fixed-length and Exp-Golomb codes of an RBSP.
//! - [`index_log`]: the saved form of an index of a stream.
//! - [`sample_aspect_ratio`]: of video usability information.
//! - [`Options`]: of decoders and indices.
//! - [`cabac`]: the arithmetic decoding engine with its probability state tables.
//!
//! H.264 (ITU-T H.264) and HEVC (ITU-T H.265) share these parts; clause numbers are those of H.264.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod bit_reader;
pub mod cabac;
mod error;
pub mod index_log;
pub mod nal;
mod options;
mod sample_aspect_ratio;

pub use bit_reader::BitReader;
pub use error::Malformed;
pub use options::Options;
pub use sample_aspect_ratio::sample_aspect_ratio;
