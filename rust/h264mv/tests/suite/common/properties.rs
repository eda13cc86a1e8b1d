//! Properties that hold for any bytes, checked by the mutation test and the fuzz targets (`rust/fuzz`).
#![allow(dead_code)]

use bitstream::nal::{unescape, AnnexB};
use h264mv::{AvcConfig, Decoder, Error, Options, Picture, Pps, Sps, StreamIndex, NO_POC};

/// Parameter sets are rejected or describe a picture within the standard's limits.
pub fn parameter_sets(data: &[u8]) {
    let mut rbsp = Vec::new();
    unescape(data, &mut rbsp);
    assert!(rbsp.len() <= data.len());
    if let Ok(sps) = Sps::parse(&rbsp) {
        let macroblocks = sps.pic_width_in_mbs as u64 * sps.frame_height_in_mbs() as u64;
        assert!((1..=139_264).contains(&macroblocks));
        let [x, y, width, height] = sps.crop_rectangle();
        assert!(x + width <= sps.pic_width_in_mbs * 16);
        assert!(y + height <= sps.frame_height_in_mbs() * 16);
        assert!(sps.max_num_ref_frames <= 16 && sps.bit_depth_luma <= 14);
    }
    if let Ok(pps) = Pps::parse(&rbsp) {
        assert!(pps.num_ref_idx_default_active.iter().all(|&n| n <= 32));
    }
    let _ = AvcConfig::parse(data);
}

/// Slice data after valid parameter sets, which are those of the stream selected by the first byte.
pub fn slice_data(data: &[u8]) {
    const STREAMS: [&[u8]; 4] = [
        include_bytes!("../../data/cabac_spatial.264"),
        include_bytes!("../../data/cavlc_b.264"),
        include_bytes!("../../data/mbaff_cabac.264"),
        include_bytes!("../../data/high444_cavlc.264"),
    ];
    let Some((&choice, data)) = data.split_first() else {
        return;
    };
    let mut input = Vec::new();
    let mut slices = 0;
    for (_, nal) in AnnexB::new(STREAMS[choice as usize % STREAMS.len()]) {
        // Two unchanged pictures, as references of later ones.
        slices += (nal[0] & 31 < 6) as u32;
        if slices > 2 {
            break;
        }
        input.extend([0, 0, 1]);
        input.extend(nal);
    }
    for part in data.split(|&b| b == 0xff) {
        input.extend([0, 0, 1]);
        input.extend(part);
    }
    stream(&input);
}

/// Streams: pictures agree with their headers, for any number of threads.
pub fn stream(data: &[u8]) {
    let one = pictures(data, 1, true);
    let skipped = pictures(data, 1, false);
    assert_eq!(one.len(), skipped.len());
    for (full, skipped) in one.iter().zip(&skipped).filter(|(p, _)| p.damage.is_none()) {
        assert!(skipped.damage.is_none());
        assert!(full.motion.mv() == skipped.motion.mv());
        assert!(full.ref_poc.values() == skipped.ref_poc.values());
    }
    let deferred = testkit::pictures(Decoder::deferring(&Options::default()), data);
    assert_eq!(one.len(), deferred.len());
    for (a, b) in one.iter().zip(&deferred) {
        assert!(a.motion.mv() == b.motion.mv() && a.ref_poc.values() == b.ref_poc.values());
        assert!(a.damage == b.damage && a.lost_reference == b.lost_reference);
    }
    if data.first().is_some_and(|b| b & 15 == 0) {
        let two = pictures(data, 2, true);
        assert_eq!(one.len(), two.len());
        for (a, b) in one.iter().zip(&two) {
            assert!(a.motion.mv() == b.motion.mv() && a.ref_poc.values() == b.ref_poc.values());
        }
    }
}

fn pictures(data: &[u8], threads: usize, intra: bool) -> Vec<Picture> {
    let pictures = testkit::pictures(Decoder::new(&Options { threads, intra }), data);
    pictures.iter().for_each(check);
    pictures
}

fn check(picture: &Picture) {
    let info = &picture.info;
    let motion = &picture.motion;
    let blocks = 16 * info.width_mbs as usize * info.height_mbs as usize;
    assert_eq!(motion.mv().len(), 2 * blocks);
    assert_eq!(picture.ref_poc.values().len(), 2 * blocks);
    let counts = motion.stats();
    if picture.damage.is_none() {
        assert!(counts.intra + counts.skipped <= blocks as u32 / 16);
    }
    let refs = motion
        .ref_idx()
        .iter()
        .zip(motion.mv())
        .zip(picture.ref_poc.values());
    for ((&ref_idx, &mv), &poc) in refs {
        assert!((-1..32).contains(&ref_idx));
        assert!(ref_idx >= 0 || (mv == [0; 2] && poc == NO_POC));
    }
}

/// A saved index is rejected, or its positions can be parsed.
pub fn index(data: &[u8]) {
    match StreamIndex::from_log(data) {
        Ok(index) => {
            let all: Vec<usize> = (0..index.len().min(50)).collect();
            assert!(index.needed(&all).len() <= index.len());
            assert_eq!(index.presentation_order().len(), index.len());
            assert!(index.poc_interval() > 0);
            let parsed = index.parse(&all, &Options::default(), |_, _| Some(data));
            if let Ok(pictures) = parsed {
                assert_eq!(pictures.len(), all.len());
            }
        }
        Err(Error::Malformed { .. } | Error::Unsupported { .. } | Error::Limit { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}
