//! Motion vectors from prediction units (clause 8.5.3.2): merge mode, motion vector prediction, and
//! temporal candidates.

mod amvp;
pub(crate) mod derive;
pub(crate) mod field;
mod merge;
mod neighbours;
mod temporal;

pub(crate) use derive::derive_motion;
