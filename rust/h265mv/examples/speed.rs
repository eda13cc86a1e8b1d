//! Measures the parsing time of a file; see `testkit::tools::speed`.

mod common;

use h265mv::Options;

fn main() {
    testkit::tools::speed(
        |data| common::access_units(data).expect("an HEVC track"),
        |units, threads, each| {
            let options = Options {
                threads,
                ..Options::default()
            };
            common::parse(units, &options, |picture| {
                each(picture.damage.as_ref().map(ToString::to_string));
            });
        },
    );
}
