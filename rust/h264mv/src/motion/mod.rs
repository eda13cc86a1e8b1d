//! Motion: the arrays of a picture, the macroblock being parsed, and the prediction rules.
//!
//! - [`field`]: vectors and reference indices of a picture.
//! - [`ref_poc`]: the POC of each block's reference.
//! - [`macroblock_info`]: flags of macroblocks that later ones depend on.
//! - [`colocated`]: motion of other pictures that direct modes read.
//! - [`context`]: the macroblock being parsed and the picture around it.
//! - [`neighbour`]: neighbouring macroblocks and blocks.
//! - [`predict`]: motion vector prediction and P_Skip.
//! - [`direct`]: spatial and temporal direct prediction, B_Skip.

pub(crate) mod colocated;
pub(crate) mod context;
pub(crate) mod direct;
pub(crate) mod field;
pub(crate) mod macroblock_info;
pub(crate) mod neighbour;
pub(crate) mod predict;
pub(crate) mod ref_poc;
