//! Golden digests: a picture as a row of a golden file.

use h265mv::{Picture, SliceType, NO_POC};
use testkit::short_sha;

/// Columns of a golden file.
pub const COLUMNS: [&str; 9] = [
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

/// Vectors, reference indices, and distances to references in PicOrderCnt as bytes.
pub fn arrays(p: &Picture) -> [Vec<u8>; 3] {
    let distance = |poc: i32| match poc {
        NO_POC => NO_POC,
        _ => p.info.poc.wrapping_sub(poc),
    };
    let m = &p.motion;
    let mv = m.mv().iter().flatten().flat_map(|v| v.to_le_bytes());
    let distances = m.ref_poc().iter().map(|&poc| distance(poc));
    [
        mv.collect(),
        m.ref_idx().iter().map(|&r| r as u8).collect(),
        distances.flat_map(i32::to_le_bytes).collect(),
    ]
}

/// A picture as a row of a golden file.
pub fn row(p: &Picture) -> Vec<String> {
    let info = &p.info;
    let slice_type = match info.slice_type {
        SliceType::I => "I",
        SliceType::P => "P",
        SliceType::B => "B",
    };
    let mut row = vec![
        info.decode_index.to_string(),
        info.poc.to_string(),
        slice_type.into(),
        info.nal_unit_type.to_string(),
        info.sps.width.to_string(),
        info.sps.height.to_string(),
    ];
    row.extend(arrays(p).map(|bytes| short_sha(&bytes)));
    row
}
