//! From NAL units to parsed pictures.
//!
//! Headers first: [`header_parser`] turns NAL units into picture plans, with [`assembler`] to group
//! slices into pictures and [`recovery`] to judge reference lists after losses; [`plan`] is the result.
//! Then motion: [`parse_picture`] derives the motion of one plan, with arrays from [`pool`] and co-located
//! motion from [`motion_store`]; [`pipeline`] does so on several threads; [`picture`] is the result.
//!
//! [`decoder`] reads a whole stream; [`index`] gives access to any picture and is saved as an
//! [`bitstream::index_log`].

mod assembler;
pub(crate) mod decoder;
mod header_parser;
pub(crate) mod index;
mod motion_store;
mod parse_picture;
pub(crate) mod picture;
mod pipeline;
mod plan;
pub(crate) mod pool;
mod recovery;
