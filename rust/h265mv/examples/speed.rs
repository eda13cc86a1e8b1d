//! Measures the parsing time of a file: `speed FILE [--threads N] [--repeat N]`.

mod common;

use std::time::Instant;

use h265mv::Options;

fn main() {
    let mut args = std::env::args().skip(1);
    let (mut path, mut threads, mut repeat) = (String::new(), 1, 1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--threads" => threads = args.next().and_then(|n| n.parse().ok()).expect("a number"),
            "--repeat" => repeat = args.next().and_then(|n| n.parse().ok()).expect("a number"),
            _ => path = arg,
        }
    }
    let data = std::fs::read(&path).expect("read file");
    let access_units = common::access_units(&data).expect("an HEVC track");
    let options = Options {
        threads,
        ..Options::default()
    };
    for _ in 0..repeat {
        let start = Instant::now();
        let (mut pictures, mut damaged) = (0, 0);
        common::parse(&access_units, &options, |picture| {
            pictures += 1;
            if let Some(damage) = &picture.damage {
                damaged += 1;
                eprintln!("{damage}");
            }
        });
        let seconds = start.elapsed().as_secs_f64();
        let rate = pictures as f64 / seconds;
        println!("{pictures} pictures ({damaged} damaged) in {seconds:.3} s, {rate:.0} per second");
    }
}
