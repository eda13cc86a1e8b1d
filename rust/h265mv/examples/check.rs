//! Compares the motion of streams with golden digests; see `testkit::tools::check`.

mod common;

use common::golden::{self, COLUMNS};
use h265mv::Options;
use testkit::tools::{check, Parsed};

fn main() {
    check(&COLUMNS, |data, threads| {
        let options = Options {
            threads,
            ..Options::default()
        };
        let (mut rows, mut damages) = (Vec::new(), Vec::new());
        let units = common::access_units(data).expect("an HEVC track");
        let errors = common::parse(&units, &options, |picture| {
            rows.push(golden::row(picture));
            damages.extend(picture.damage.clone());
        });
        let errors = errors.iter().chain(&damages).map(ToString::to_string);
        Parsed {
            rows,
            errors: errors.collect(),
        }
    });
}
