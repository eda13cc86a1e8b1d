//! Golden digests of the shared streams; skipped unless `MOCLIP_SHARED` names their folder.

use std::path::Path;

use crate::common::files::{access_units, golden, parse};
use h265mv::{Options, StreamIndex};

/// Rows of all pictures, parsed in order.
fn rows(access_units: &[Vec<Vec<u8>>], threads: usize) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let options = Options {
        threads,
        ..Options::default()
    };
    parse(access_units, &options, |p| rows.push(golden::row(p)));
    rows
}

/// Checks chosen pictures of an index.
fn check_chosen(name: &str, access_units: &[Vec<Vec<u8>>], expected: &[Vec<String>]) {
    let mut index = StreamIndex::new();
    for (sample, units) in access_units.iter().enumerate() {
        for nal in units {
            let _ = index.push(nal, sample as u64);
        }
        index.end_of_access_unit();
    }
    let unit = |sample: u64, at: u32| {
        let units = access_units.get(sample as usize)?;
        units.get(at as usize).map(Vec::as_slice)
    };
    let last = expected.len() - 1;
    for chosen in [vec![last], vec![last / 2, 0], vec![last / 3, last * 2 / 3]] {
        let pictures = index.parse(&chosen, &Options::default(), unit);
        for (&i, picture) in chosen.iter().zip(&pictures.expect("pictures")) {
            assert_eq!(golden::row(picture), expected[i], "{name} picture {i}");
        }
    }
}

#[test]
fn shared_streams_are_exact() {
    let folder = std::env::var("MOCLIP_SHARED").unwrap_or_default();
    let folder = Path::new(&folder).join("hevc");
    let Ok(entries) = std::fs::read_dir(folder.join("streams")) else {
        eprintln!("skipped: MOCLIP_SHARED does not name a folder with hevc/streams");
        return;
    };
    let mut count = 0;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let data = std::fs::read(entry.path()).expect("stream");
        // Transport streams, Matroska and fragmented files are read by the tests of the Python package.
        if name.ends_with(".ts") || name.ends_with(".mkv") {
            continue;
        }
        let Some(access_units) = access_units(&data) else {
            continue;
        };
        count += 1;
        let expected = testkit::csv_rows(&folder.join("golden").join(format!("{name}.csv")));
        for threads in [1, 2] {
            let rows = rows(&access_units, threads);
            // The last picture of a cut file is in no golden file.
            assert!(rows.len() - expected.len() <= (name == "testsuite_counter.hvc") as usize);
            for (row, expected) in rows.iter().zip(&expected) {
                assert_eq!(row, expected, "{name}");
            }
        }
        check_chosen(&name, &access_units, &expected);
    }
    assert!(count > 60, "{count} streams");
}
