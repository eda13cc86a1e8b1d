//! Compares the motion of streams with golden digests.
//!
//! `check --golden DIR --streams DIR [--first-fail] [--threads N] [NAME...]` prints a line per stream; for
//! one that differs also the columns, the first picture and the errors.

mod common;

use std::path::{Path, PathBuf};

use common::golden::{self, COLUMNS};
use h264mv::Options;

/// Checks one stream and prints the result; returns whether it is exact.
fn check(name: &str, golden: &Path, stream: &Path, threads: usize) -> bool {
    let data = std::fs::read(stream).expect("read stream");
    let options = Options {
        threads,
        ..Options::default()
    };
    let (mut rows, mut damages) = (Vec::new(), Vec::new());
    let errors = common::parse(&common::access_units(&data), &options, |picture| {
        rows.push(golden::row(picture));
        damages.extend(picture.damage.clone());
    });
    let expected = testkit::csv_rows(golden);
    let pairs = || rows.iter().zip(&expected);
    let first = pairs().position(|(row, expected)| row != expected);
    let exact = rows.len() == expected.len() && first.is_none();
    let verdict = if exact { "exact" } else { "WRONG" };
    print!(
        "{verdict} {name}: {}/{} pictures",
        rows.len(),
        expected.len()
    );
    for (c, column) in COLUMNS.iter().enumerate() {
        let wrong = pairs().filter(|(row, expected)| row[c] != expected[c]);
        match wrong.count() {
            0 => {}
            count => print!(", {column} differs in {count}"),
        }
    }
    println!();
    if let Some(i) = first {
        println!("    first: picture {i}");
        println!("    parsed   {}", rows[i].join(","));
        println!("    expected {}", expected[i].join(","));
    }
    if !exact {
        for error in errors.iter().chain(&damages).take(8) {
            println!("    {error}");
        }
    }
    exact
}

fn main() {
    let mut args = std::env::args().skip(1);
    let (mut golden, mut streams) = (PathBuf::new(), PathBuf::new());
    let (mut first_fail, mut threads, mut names) = (false, 1, Vec::new());
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--golden" => golden = args.next().expect("a folder").into(),
            "--streams" => streams = args.next().expect("a folder").into(),
            "--threads" => threads = args.next().and_then(|n| n.parse().ok()).expect("a number"),
            "--first-fail" => first_fail = true,
            _ => names.push(arg),
        }
    }
    if names.is_empty() {
        let entries = std::fs::read_dir(&streams).expect("folder of streams");
        let entries = entries.flatten().map(|e| e.file_name());
        names = entries.map(|n| n.to_string_lossy().into_owned()).collect();
        names.sort();
    }
    let mut wrong = 0;
    for name in &names {
        let rows = golden.join(format!("{name}.csv"));
        let exact = check(name, &rows, &streams.join(name), threads);
        wrong += !exact as usize;
        if first_fail && !exact {
            break;
        }
    }
    println!("{} of {} streams exact", names.len() - wrong, names.len());
    std::process::exit((wrong > 0) as i32);
}
