//! Order and reference pictures, from headers only.
//!
//! - [`poc`]: picture order count.
//! - [`dpb`]: frames marked as used for reference (the decoded picture buffer).
//! - [`lists`]: RefPicList0 and RefPicList1 of a slice.
//! - [`ref_pic`]: an entry of these lists.
//! - [`state`]: all of it along a stream, with gaps in frame_num filled by lost frames.

pub(crate) mod dpb;

pub(crate) mod lists;
pub(crate) mod poc;
pub(crate) mod ref_pic;
pub(crate) mod state;
