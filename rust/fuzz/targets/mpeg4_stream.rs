#![no_main]

#[path = "../../mpeg4mv/tests/common/mod.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| common::stream(data));
