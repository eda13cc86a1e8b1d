//! CPU time of parsing a byte stream: `speed FILE [REPEATS [THREADS]]`.

use h265mv::{AnnexB, Decoder, Options};

fn main() {
    let mut args = std::env::args().skip(1);
    let path = args.next().expect("a file");
    let repeats: u32 = args.next().map_or(1, |n| n.parse().expect("a number"));
    let threads = args.next().map_or(1, |n| n.parse().expect("a number"));
    let data = std::fs::read(path).expect("read stream");
    let start = std::time::Instant::now();
    let mut pictures = 0;
    for _ in 0..repeats {
        let mut decoder = Decoder::new(&Options {
            threads,
            ..Options::default()
        });
        for (offset, nal) in AnnexB::new(&data) {
            let _ = decoder.push(nal, offset as u64);
            while decoder.next_picture().is_some() {
                pictures += 1;
            }
        }
        decoder.finish();
        while decoder.next_picture().is_some() {
            pictures += 1;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{pictures} pictures, {seconds:.3} s");
}
