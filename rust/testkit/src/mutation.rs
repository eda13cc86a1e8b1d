//! Random damage, and the time that an input takes.

use std::time::Duration;

/// xorshift64* generator.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number less than `below`.
    pub fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below.max(1)
    }
}

/// `data` with one to eight places damaged.
pub fn mutate(data: &[u8], random: &mut Random) -> Vec<u8> {
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

/// Calls `check` with `MUTATIONS` (default `quick`) damaged copies of each stream and their numbers;
/// `MUTATION_SEED` is the seed. An input must not take 5 seconds.
pub fn run(
    streams: &[(String, Vec<u8>)],
    quick: usize,
    mut check: impl FnMut(&[u8], usize, &[u8], &mut Random),
) {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse().ok());
    let count = number("MUTATIONS").map_or(quick, |n| n as usize);
    let mut random = Random::new(number("MUTATION_SEED").unwrap_or(1));
    let mut slowest = Duration::ZERO;
    for (name, data) in streams {
        for i in 0..count {
            let input = mutate(data, &mut random);
            let start = cpu_time();
            check(data, i, &input, &mut random);
            let elapsed = cpu_time().saturating_sub(start);
            slowest = slowest.max(elapsed);
            assert!(elapsed < Duration::from_secs(5), "{name}, input {i}");
        }
    }
    eprintln!("{count} inputs per stream, the slowest took {slowest:?}");
}

/// CPU time of this thread, independent of the load of the machine; zero if not available.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|n| n.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}
