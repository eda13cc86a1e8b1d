//! The command lines of the development tools `check` and `speed`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::csv_rows;

/// What a stream gave.
#[derive(Default)]
pub struct Parsed {
    /// A row per picture.
    pub rows: Vec<Vec<String>>,
    /// Errors of NAL units, and damage of pictures.
    pub errors: Vec<String>,
}

/// Compares the motion of streams with golden digests.
///
/// `check --golden DIR --streams DIR [--first-fail] [--threads N] [NAME...]` prints a line per stream; for
/// one that differs also the columns, the first picture and the errors. `parse` takes a file's bytes and the
/// number of threads.
pub fn check(columns: &[&str], parse: impl Fn(&[u8], usize) -> Parsed) {
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
        let data = std::fs::read(streams.join(name)).expect("read stream");
        let golden = golden.join(format!("{name}.csv"));
        let exact = compare(name, &golden, &parse(&data, threads), columns);
        wrong += !exact as usize;
        if first_fail && !exact {
            break;
        }
    }
    println!("{} of {} streams exact", names.len() - wrong, names.len());
    std::process::exit((wrong > 0) as i32);
}

/// Prints the result of one stream; returns whether it is exact.
fn compare(name: &str, golden: &Path, parsed: &Parsed, columns: &[&str]) -> bool {
    let (rows, expected) = (&parsed.rows, csv_rows(golden));
    let pairs = || rows.iter().zip(&expected);
    let first = pairs().position(|(row, expected)| row != expected);
    let exact = rows.len() == expected.len() && first.is_none();
    let verdict = if exact { "exact" } else { "WRONG" };
    print!(
        "{verdict} {name}: {}/{} pictures",
        rows.len(),
        expected.len()
    );
    for (c, column) in columns.iter().enumerate() {
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
        for error in parsed.errors.iter().take(8) {
            println!("    {error}");
        }
    }
    exact
}

/// Measures the parsing time of a file: `speed FILE [--threads N] [--repeat N]`.
///
/// `split` takes a file's bytes apart; `parse` takes the parts and the number of threads, and calls its last
/// argument for every picture with the picture's damage.
pub fn speed<T>(
    split: impl Fn(&[u8]) -> T,
    parse: impl Fn(&T, usize, &mut dyn FnMut(Option<String>)),
) {
    let mut args = std::env::args().skip(1);
    let (mut path, mut threads, mut repeat) = (String::new(), 1, 1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--threads" => threads = args.next().and_then(|n| n.parse().ok()).expect("a number"),
            "--repeat" => repeat = args.next().and_then(|n| n.parse().ok()).expect("a number"),
            _ => path = arg,
        }
    }
    let parts = split(&std::fs::read(&path).expect("read file"));
    for _ in 0..repeat {
        let start = Instant::now();
        let (mut pictures, mut damaged) = (0, 0);
        parse(&parts, threads, &mut |damage| {
            pictures += 1;
            if let Some(damage) = damage {
                damaged += 1;
                eprintln!("{damage}");
            }
        });
        let seconds = start.elapsed().as_secs_f64();
        let rate = pictures as f64 / seconds;
        println!("{pictures} pictures ({damaged} damaged) in {seconds:.3} s, {rate:.0} per second");
    }
}
