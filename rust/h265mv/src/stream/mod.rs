//! From NAL units to pictures: headers first, then prediction units, then motion.

pub(crate) mod decoder;
pub(crate) mod parse;
pub(crate) mod plan;
pub(crate) mod tracker;
