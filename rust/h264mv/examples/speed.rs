//! Measures the parsing time of a file; see `testkit::tools::speed`.

mod common;

use h264mv::Options;

fn main() {
    testkit::tools::speed(common::access_units, |units, threads, each| {
        let options = Options {
            threads,
            ..Options::default()
        };
        common::parse(units, &options, |picture| {
            each(picture.damage.as_ref().map(ToString::to_string));
        });
    });
}
