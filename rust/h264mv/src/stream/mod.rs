//! From NAL units to parsed pictures.
//!
//! Headers first: [`header_parser`] turns NAL units into picture plans, with [`assembler`] to group
//! slices into pictures and [`recovery`] to judge reference lists after losses; [`plan`] is the result.
//! Then motion: [`parse_picture`] derives the motion of one plan, with arrays from [`pool`] and co-located
//! motion from [`motion_store`]; [`queue`] orders this on several threads; [`picture`] is the result.
//!
//! [`bitstream::Decoder`] reads a whole stream by them, [`bitstream::StreamIndex`] chosen pictures.

mod assembler;
pub(crate) mod header_parser;
mod motion_store;
mod parse_picture;
pub(crate) mod picture;
mod plan;
pub(crate) mod pool;
mod queue;
mod recovery;
