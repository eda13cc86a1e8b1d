//! Randomly damaged streams: no panic and no excessive work.
//!
//! `MUTATIONS` is the number of inputs per stream, `MUTATION_SEED` the seed.

use std::time::Duration;

use crate::common::{properties, streams};
use bitstream::nal::AnnexB;
use h264mv::StreamIndex;

/// xorshift64* generator.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below.max(1)
    }
}

fn mutate(data: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = data.to_vec();
    for _ in 0..1 + random.next(8) {
        if out.len() < 8 {
            break;
        }
        let at = random.next(out.len());
        // Headers are rare: every second mutation is at the start of the stream.
        let near = random.next(out.len().min(80));
        let at = if random.next(2) == 0 { at } else { near };
        match random.next(6) {
            0 | 1 => out[at] ^= 1 << random.next(8),
            2 => out[at] = random.next(256) as u8,
            3 => {
                let end = (at + random.next(40)).min(out.len());
                out.drain(at..end);
            }
            4 => {
                let from = random.next(out.len());
                let chunk = out[from..(from + random.next(60)).min(out.len())].to_vec();
                out.splice(at..at, chunk);
            }
            _ => out.truncate(at.max(8)),
        }
    }
    out
}

/// Log of an index of the stream.
fn log(data: &[u8]) -> Vec<u8> {
    let mut index = StreamIndex::new();
    for (i, (_, nal)) in AnnexB::new(data).enumerate() {
        let _ = index.push(nal, i as u64);
    }
    index.log().to_vec()
}

/// CPU time of this thread, independent of the load of the machine; zero if not available.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|n| n.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

#[test]
fn mutated_streams_do_not_panic_or_hang() {
    let quick = if cfg!(debug_assertions) { 400 } else { 2000 };
    let count = std::env::var("MUTATIONS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(quick);
    let seed = std::env::var("MUTATION_SEED")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1u64);
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut slowest = Duration::ZERO;
    for (name, data) in streams() {
        for i in 0..count {
            let input = mutate(&data, &mut random);
            let start = cpu_time();
            match i % 8 {
                0 => properties::parameter_sets(&input[5.min(input.len())..]),
                1 => properties::slice_data(&input),
                2 => properties::index(&mutate(&log(&data), &mut random)),
                _ => properties::stream(&input),
            }
            let elapsed = cpu_time().saturating_sub(start);
            slowest = slowest.max(elapsed);
            assert!(elapsed < Duration::from_secs(5), "{name}, input {i}");
        }
    }
    eprintln!("{count} inputs per stream, the slowest took {slowest:?}");
}
