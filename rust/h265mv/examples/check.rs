//! Compares byte streams with golden digests of their motion.
//!
//! `check --golden DIR --streams DIR [--threads N] [NAME...]` prints a line per stream, and for one that differs the first
//! picture and the columns in question. Streams are Annex B byte streams.

mod common;

use std::path::{Path, PathBuf};

use h265mv::{AnnexB, Decoder, Options, Picture, SliceType, NO_POC};

const COLUMNS: [&str; 9] = [
    "decode_index",
    "poc",
    "type",
    "nal_unit_type",
    "coded_width",
    "coded_height",
    "mv_sha",
    "ref_idx_sha",
    "ref_poc_delta_sha",
];

/// A picture as a row of a golden file.
fn row(p: &Picture) -> Vec<String> {
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
            p.info.poc.wrapping_sub(poc)
        }
    };
    let deltas: Vec<u8> = m
        .ref_poc()
        .iter()
        .flat_map(|&r| delta(r).to_le_bytes())
        .collect();
    let kind = match p.info.slice_type {
        SliceType::I => "I",
        SliceType::P => "P",
        SliceType::B => "B",
    };
    vec![
        p.info.decode_index.to_string(),
        p.info.poc.to_string(),
        kind.into(),
        p.info.nal_unit_type.to_string(),
        p.info.sps.width.to_string(),
        p.info.sps.height.to_string(),
        common::short_sha(&mv),
        common::short_sha(&refs),
        common::short_sha(&deltas),
    ]
}

fn parse(path: &Path, threads: usize) -> (Vec<Vec<String>>, Vec<String>) {
    let data = std::fs::read(path).expect("read stream");
    let mut decoder = Decoder::new(&Options {
        threads,
        ..Options::default()
    });
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    let mut drain = |decoder: &mut Decoder, notes: &mut Vec<String>| {
        while let Some(picture) = decoder.next_picture() {
            rows.push(row(&picture));
            notes.extend(picture.damage.map(|d| format!("damaged: {d}")));
        }
    };
    for (offset, nal) in AnnexB::new(&data) {
        if let Err(error) = decoder.push(nal, offset as u64) {
            notes.push(error.to_string());
        }
        drain(&mut decoder, &mut notes);
    }
    decoder.finish();
    drain(&mut decoder, &mut notes);
    (rows, notes)
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
    let mut wrong = [0usize; COLUMNS.len()];
    let mut first = None;
    for (i, (g, w)) in got.iter().zip(&want).enumerate() {
        for c in 0..COLUMNS.len() {
            if g[c] != w[c] {
                wrong[c] += 1;
                first.get_or_insert(i);
            }
        }
    }
    let exact = got.len() == want.len() && first.is_none();
    let verdict = if exact { "exact" } else { "WRONG" };
    print!("{verdict} {name}: {}/{} pictures", got.len(), want.len());
    for c in (0..COLUMNS.len()).filter(|&c| wrong[c] > 0) {
        print!(", {} differs in {}", COLUMNS[c], wrong[c]);
    }
    println!();
    if let Some(i) = first {
        println!("    first: picture {i}");
        println!(
            "    got  {}\n    want {}",
            got[i].join(","),
            want[i].join(",")
        );
    }
    if !exact || !notes.is_empty() {
        notes.iter().take(4).for_each(|note| println!("    {note}"));
    }
    exact
}

fn main() {
    let mut args = std::env::args().skip(1);
    let (mut golden, mut streams, mut names) = (PathBuf::new(), PathBuf::new(), Vec::new());
    let mut threads = 1;
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--golden" => golden = args.next().expect("a folder").into(),
            "--streams" => streams = args.next().expect("a folder").into(),
            "--threads" => threads = args.next().and_then(|n| n.parse().ok()).expect("a number"),
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
    let exact = names
        .iter()
        .filter(|name| {
            let digests = golden.join(format!("{name}.csv"));
            check(name, &digests, &streams.join(name), threads)
        })
        .count();
    println!("{exact} of {} streams exact", names.len());
    std::process::exit((exact < names.len()) as i32);
}
