//! Compares streams with golden digests of their motion.
//!
//! `check --golden DIR --streams DIR [--first-fail] [--threads N] [NAME...]` prints a line per
//! stream, and for one that differs the first picture and the columns in question.

mod common;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use h264mv::{Decoder, Options, Picture, SliceType, Structure, NO_POC};

const COLUMNS: [&str; 12] = [
    "decode_index",
    "poc",
    "type",
    "structure",
    "mbaff",
    "slices",
    "coded_width",
    "coded_height",
    "motion_blocks",
    "mv_sha",
    "ref_idx_sha",
    "ref_poc_delta_sha",
];

/// A picture as a row of a golden file.
fn row(p: &Picture) -> Vec<String> {
    let info = &p.info;
    let m = &p.motion;
    let mv: Vec<u8> = m
        .mv()
        .iter()
        .flatten()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let refs: Vec<u8> = m.ref_idx().iter().map(|&r| r as u8).collect();
    let delta = |poc: i32| {
        if poc == NO_POC {
            poc
        } else {
            info.poc.wrapping_sub(poc)
        }
    };
    let deltas: Vec<u8> = p
        .ref_poc
        .values()
        .iter()
        .flat_map(|&r| delta(r).to_le_bytes())
        .collect();
    let kind = match info.slice_type {
        SliceType::I => "I",
        SliceType::P => "P",
        SliceType::B => "B",
    };
    let structure = match info.structure {
        Structure::Frame => "frame",
        Structure::Top => "top",
        Structure::Bottom => "bottom",
    };
    let blocks = m.ref_idx().iter().filter(|&&r| r >= 0).count();
    vec![
        info.decode_index.to_string(),
        info.poc.to_string(),
        kind.into(),
        structure.into(),
        (info.mbaff as u8).to_string(),
        info.slices.to_string(),
        (info.width_mbs * 16).to_string(),
        (info.height_mbs * 16).to_string(),
        blocks.to_string(),
        common::short_sha(&mv),
        common::short_sha(&refs),
        common::short_sha(&deltas),
    ]
}

fn parse(path: &Path, threads: usize) -> (Vec<Vec<String>>, String) {
    let data = std::fs::read(path).expect("read stream");
    let options = Options {
        threads,
        ..Options::default()
    };
    let mut decoder = Decoder::new(&options);
    let mut rows = Vec::new();
    let mut notes = String::new();
    for (i, unit) in common::access_units(&data).iter().enumerate() {
        for nal in unit {
            if let Err(error) = decoder.push(nal, i as u64) {
                let _ = writeln!(notes, "    {error}");
            }
        }
        decoder.end_of_access_unit();
        drain(&mut decoder, &mut rows, &mut notes);
    }
    decoder.finish();
    drain(&mut decoder, &mut rows, &mut notes);
    (rows, notes)
}

fn drain(decoder: &mut Decoder, rows: &mut Vec<Vec<String>>, notes: &mut String) {
    while let Some(picture) = decoder.next_picture() {
        rows.push(row(&picture));
        if let Some(damage) = &picture.damage {
            let _ = writeln!(notes, "    damaged: {damage}");
        }
        decoder.recycle(picture);
    }
}

/// Prints the result for one stream; whether it is exact.
fn check(name: &str, golden: &Path, stream: &Path, threads: usize) -> bool {
    let text = std::fs::read_to_string(golden).expect("read golden digests");
    let want: Vec<Vec<String>> = text
        .lines()
        .skip(1)
        .map(|l| l.split(',').map(String::from).collect())
        .collect();
    let (got, notes) = parse(stream, threads);
    let mut wrong = [0usize; 12];
    let mut first = None;
    for (i, (g, w)) in got.iter().zip(&want).enumerate() {
        for c in 0..12 {
            if g[c] != w[c] {
                wrong[c] += 1;
                first.get_or_insert(i);
            }
        }
    }
    let exact = got.len() == want.len() && first.is_none();
    print!(
        "{} {name}: {}/{} pictures",
        if exact { "exact" } else { "WRONG" },
        got.len(),
        want.len()
    );
    for c in (0..12).filter(|&c| wrong[c] > 0) {
        print!(", {} differs in {}", COLUMNS[c], wrong[c]);
    }
    println!();
    if let Some(i) = first {
        println!(
            "    first: picture {i}\n    got  {}\n    want {}",
            got[i].join(","),
            want[i].join(",")
        );
    }
    if !exact {
        print!(
            "{}",
            notes
                .lines()
                .take(8)
                .map(|l| format!("{l}\n"))
                .collect::<String>()
        );
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
        let entries = std::fs::read_dir(&streams).expect("streams folder");
        names = entries
            .flatten()
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
    }
    let mut bad = 0;
    for name in &names {
        let exact = check(
            name,
            &golden.join(format!("{name}.csv")),
            &streams.join(name),
            threads,
        );
        bad += !exact as usize;
        if first_fail && !exact {
            break;
        }
    }
    println!("{} of {} streams exact", names.len() - bad, names.len());
    std::process::exit((bad > 0) as i32);
}
