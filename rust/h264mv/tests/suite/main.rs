//! Integration tests, in one binary.

mod common;
mod golden;
mod headers;
mod lost_pictures;
mod mutation;
mod stray_units;
mod streams;
mod x264_builds;
