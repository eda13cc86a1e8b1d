//! Golden digests: a picture as a row of a golden file.

use h264mv::{Picture, SliceType, Structure, NO_POC};
use testkit::short_sha;

/// Columns of a golden file.
pub const COLUMNS: [&str; 12] = [
    "decode_index",
    "poc",
    "type",
    "structure",
    "mbaff",
    "slices",
    "coded_width",
    "coded_height",
    "motion_blocks",
    "mv_sha",
    "ref_idx_sha",
    "ref_poc_delta_sha",
];

/// Vectors, reference indices and POC of references as bytes. With `relative`, POC of references are
/// differences to the POC of the picture.
pub fn arrays(p: &Picture, relative: bool) -> [Vec<u8>; 3] {
    let poc = |poc: i32| match relative && poc != NO_POC {
        true => p.info.poc.wrapping_sub(poc),
        false => poc,
    };
    let (mv, refs) = (p.motion.mv().iter().flatten(), p.motion.ref_idx().iter());
    [
        mv.flat_map(|v| v.to_le_bytes()).collect(),
        refs.map(|&r| r as u8).collect(),
        p.ref_poc
            .values()
            .iter()
            .flat_map(|&v| poc(v).to_le_bytes())
            .collect(),
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
    let structure = match info.structure {
        Structure::Frame => "frame",
        Structure::Top => "top",
        Structure::Bottom => "bottom",
    };
    let blocks = p.motion.ref_idx().iter().filter(|&&r| r >= 0).count();
    let mut row = vec![
        info.decode_index.to_string(),
        info.poc.to_string(),
        slice_type.into(),
        structure.into(),
        (info.mbaff as u8).to_string(),
        info.slices.to_string(),
        (info.width_mbs * 16).to_string(),
        (info.height_mbs * 16).to_string(),
        blocks.to_string(),
    ];
    row.extend(arrays(p, true).map(|bytes| short_sha(&bytes)));
    row
}
