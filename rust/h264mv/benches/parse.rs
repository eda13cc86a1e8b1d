//! Parsing speed over the crate's small streams, and over the files that `H264MV_BENCH` names
//! (separated by colons).

#[path = "../examples/common/mod.rs"]
mod common;

use std::path::PathBuf;

use criterion::{criterion_group, criterion_main, Criterion, Throughput};
use h264mv::{Decoder, Options};

fn files() -> Vec<PathBuf> {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let own = ["cabac_spatial.264", "cavlc_b.264", "mbaff_cabac.264"];
    let named = std::env::var("H264MV_BENCH").unwrap_or_default();
    let named = named
        .split(':')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from);
    own.iter()
        .map(|name| data.join(name))
        .chain(named)
        .collect()
}

/// Parses all pictures; gives how many there were.
fn parse(units: &[Vec<Vec<u8>>]) -> usize {
    let mut decoder = Decoder::new(&Options::default());
    let mut count = 0;
    for (i, unit) in units.iter().enumerate() {
        for nal in unit {
            let _ = decoder.push(nal, i as u64);
        }
        decoder.end_of_access_unit();
        while let Some(picture) = decoder.next_picture() {
            count += 1;
            decoder.recycle(picture);
        }
    }
    count
}

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    group.sample_size(10);
    for path in files() {
        let data = std::fs::read(&path).expect("read stream");
        let units = common::access_units(&data);
        group.throughput(Throughput::Elements(parse(&units) as u64));
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        group.bench_function(name, |b| b.iter(|| parse(&units)));
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
