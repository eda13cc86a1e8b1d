//! From NAL units to pictures: [`header_parser`] turns NAL units into plans, [`parse`] parses slice data and
//! derives motion, [`queue`] orders this on several threads. [`bitstream::Decoder`] reads a stream in order by
//! them, [`bitstream::StreamIndex`] chosen pictures.

pub(crate) mod header_parser;
pub(crate) mod parse;
pub(crate) mod picture;
pub(crate) mod plan;
pub(crate) mod pool;
mod queue;
