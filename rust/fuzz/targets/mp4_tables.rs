#![no_main]

#[path = "../../mp4tables/tests/common/mod.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| common::tables(data));
