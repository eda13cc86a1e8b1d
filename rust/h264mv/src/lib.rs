//! Motion vectors of H.264 without decoding.
//!
//! The crate parses a stream down to macroblock types, reference indices and motion vector
//! differences, and derives each block's motion by the standard's prediction rules (ITU-T H.264).
//! It never dequantises, transforms, predicts, compensates or deblocks a sample.
//!
//! [`AnnexBPictures`] iterates over a whole byte stream; [`Decoder`] takes NAL units as they come;
//! [`StreamIndex`] reads headers alone and parses chosen pictures; [`Tracker`] and [`parse_picture`] are the two halves below them: headers first, then the motion
//! of chosen pictures.
#![forbid(unsafe_code)]
#![warn(missing_docs)]
// Lists, partitions and blocks are numbered by the standard: their numbers index several arrays.
#![allow(clippy::needless_range_loop)]

mod assembly;
mod bits;
mod cabac;
mod cabac_residual;
mod cabac_syntax;
mod cavlc_residual;
mod cavlc_syntax;
mod cavlc_tables;
mod context;
mod decoder;
mod direct;
mod entropy;
mod error;
mod frames;
mod head_log;
mod index;
mod inter;
mod macroblock;
mod mbinfo;
mod mvpred;
mod nal;
mod neighbour;
mod params;
mod parse;
mod partition_syntax;
mod picture;
mod pipeline;
mod plan;
mod poc;
mod pps;
mod ref_poc;
mod reflist;
mod refs;
mod sei;
mod slice;
mod slice_data;
mod tables;
mod tracker;

pub use bits::BitReader;
pub use decoder::{AnnexBPictures, Decoder, Options};
pub use error::{Error, Result};
pub use index::StreamIndex;
pub use nal::{unescape, unit, AnnexB, AvcConfig, Framing, LengthPrefixed};
pub use params::{Sps, Vui};
pub use parse::{parse_picture, ColocatedSource, Pool, Workspace};
pub use picture::{FrameMotion, Motion, Mv, Picture, Stats, NO_POC};
pub use plan::{PictureInfo, PicturePlan};
pub use pps::Pps;
pub use ref_poc::RefPoc;
pub use refs::RefPic;
pub use slice::{SliceType, Structure};
pub use tracker::Tracker;
