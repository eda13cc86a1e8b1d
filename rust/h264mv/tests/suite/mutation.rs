//! Randomly damaged streams: no panic and no excessive work.
//!
//! `MUTATIONS` is the number of inputs per stream, `MUTATION_SEED` the seed.

use crate::common::{properties, streams};
use bitstream::nal::AnnexB;
use h264mv::StreamIndex;
use testkit::mutation::{mutate, run};

/// Log of an index of the stream.
fn log(data: &[u8]) -> Vec<u8> {
    let mut index = StreamIndex::new();
    for (i, (_, nal)) in AnnexB::new(data).enumerate() {
        let _ = index.push(nal, i as u64);
    }
    index.log().to_vec()
}

#[test]
fn mutated_streams_do_not_panic_or_hang() {
    let quick = if cfg!(debug_assertions) { 400 } else { 2000 };
    run(&streams(), quick, |data, i, input, random| match i % 8 {
        0 => properties::parameter_sets(&input[5.min(input.len())..]),
        1 => properties::slice_data(input),
        2 => properties::index(&mutate(&log(data), random)),
        _ => properties::stream(input),
    });
}
