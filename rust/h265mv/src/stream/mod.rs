//! From NAL units to pictures: [`tracker`] follows headers, [`parse`] parses slice data and derives motion,
//! [`pipeline`] does so on several threads. [`decoder`] reads a stream in order, [`index`] chosen pictures.

pub(crate) mod decoder;
pub(crate) mod index;
pub(crate) mod parse;
mod pipeline;
pub(crate) mod plan;
pub(crate) mod pool;
pub(crate) mod tracker;
