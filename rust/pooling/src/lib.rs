//! Motion of a parsed picture, as a player shows it, averaged over the cells of a grid.
//!
//! What `mv_tools.flow` and `mv_tools.pool` compute with NumPy, without arrays of full resolution in between, and
//! bit for bit: each number is the result of the same operations on 32-bit floats in the same order.
//!
//! - [`blocks`]: the motion of one picture, and the flow of each block in pixels per frame interval.
//! - [`weights`]: which cells of an axis lie in each part of the grid, and their share.
//! - [`pooler`]: turns the picture upright and averages it.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod blocks;
pub mod pooler;
pub mod weights;

pub use blocks::{Blocks, FieldBlocks, Structure};
pub use pooler::{Pooler, Turn};
pub use weights::Weights;

/// Why a pooler does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch(pub String);

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mismatch {}
