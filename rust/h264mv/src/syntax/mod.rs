//! Syntax of everything above macroblocks: NAL units, parameter sets, SEI messages, slice headers.
//!
//! - [`nal_unit`]: nal_unit_type values, the avcC record.
//! - [`sps`], [`vui`], [`profile`]: sequence parameter sets, their VUI, profile and level names.
//! - [`pps`]: picture parameter sets.
//! - [`sei`]: recovery point messages and the build number of x264.
//! - [`slice_header`], [`ref_pic`]: slice headers, their reference list and marking commands.
//!
//! Structures keep the syntax element names of the standard. Only elements that motion depends on are
//! kept; the others are read and dropped.

pub(crate) mod nal_unit;
pub(crate) mod pps;
pub(crate) mod profile;
pub(crate) mod ref_pic;
pub(crate) mod sei;
pub(crate) mod slice_header;
pub(crate) mod sps;
pub(crate) mod vui;
