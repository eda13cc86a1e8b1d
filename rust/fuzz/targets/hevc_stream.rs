#![no_main]

#[path = "../../h265mv/tests/suite/common/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::stream(data));
