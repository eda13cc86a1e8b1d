//! Integration tests, in one binary.

mod common;
mod damage;
mod golden;
mod headers;
mod mutation;
mod stray_units;
mod streams;
