//! Times the parsing of a file: `speed FILE [--threads N] [--repeat N]`.

mod common;

use std::time::Instant;

use h264mv::{Decoder, Options};

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
    let units = common::access_units(&data);
    for _ in 0..repeat {
        let start = Instant::now();
        let mut decoder = Decoder::new(&Options {
            threads,
            ..Options::default()
        });
        let (mut pictures, mut used, mut damaged) = (0, 0usize, 0);
        let mut take = |decoder: &mut Decoder| {
            while let Some(picture) = decoder.next_picture() {
                pictures += 1;
                damaged += picture.damage.is_some() as usize;
                if let Some(damage) = &picture.damage {
                    eprintln!("{damage} {:?}", picture.motion.stats());
                }
                used += picture.motion.ref_idx()[0] as usize & 1;
                decoder.recycle(picture);
            }
        };
        for (i, unit) in units.iter().enumerate() {
            for nal in unit {
                decoder.push(nal, i as u64).ok();
            }
            decoder.end_of_access_unit();
            take(&mut decoder);
        }
        decoder.finish();
        take(&mut decoder);
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{pictures} pictures ({damaged} damaged) in {seconds:.3} s, {:.0} per second [{used}]",
            pictures as f64 / seconds
        );
    }
}
