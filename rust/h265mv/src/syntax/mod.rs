//! Syntax above the slice data (clause 7.3): NAL unit headers, parameter sets, slice segment headers.

pub(crate) mod hrd;
pub(crate) mod nal;
pub(crate) mod pps;
pub(crate) mod profile;
pub(crate) mod ref_pic_set;
pub(crate) mod scaling_list;
pub(crate) mod slice;
pub(crate) mod sps;
pub(crate) mod tiles;
pub(crate) mod vui;
