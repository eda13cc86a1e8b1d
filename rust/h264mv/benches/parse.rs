//! Parsing speed of three small test streams, and of the files in `H264MV_BENCH` (separated by colons).

#[path = "../examples/common/mod.rs"]
mod common;

use std::path::PathBuf;

use criterion::{criterion_group, criterion_main, Criterion, Throughput};
use h264mv::Options;

fn files() -> Vec<PathBuf> {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let test_streams = ["cabac_spatial.264", "cavlc_b.264", "mbaff_cabac.264"];
    let named = std::env::var("H264MV_BENCH").unwrap_or_default();
    let named = named
        .split(':')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from);
    test_streams
        .iter()
        .map(|name| data.join(name))
        .chain(named)
        .collect()
}

/// Parses all pictures and returns their number.
fn parse(access_units: &[Vec<Vec<u8>>]) -> usize {
    let mut count = 0;
    common::parse(access_units, &Options::default(), |_| count += 1);
    count
}

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    group.sample_size(10);
    for path in files() {
        let data = std::fs::read(&path).expect("read stream");
        let units = common::access_units(&data);
        group.throughput(Throughput::Elements(parse(&units) as u64));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        group.bench_function(name.as_ref(), |b| b.iter(|| parse(&units)));
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
