#![no_main]

#[path = "../../h264mv/tests/suite/common/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::slice_data(data));
