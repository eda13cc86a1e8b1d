//! Properties that hold for any bytes, checked by the mutation test and the fuzz targets (`rust/fuzz`).
#![allow(dead_code)]

use bitstream::nal::{unescape, AnnexB};
use h265mv::{Decoder, Error, HevcConfig, Options, Picture, Pps, Sps, StreamIndex, NO_POC};

/// Parameter sets are rejected or describe a picture within the standard's limits.
pub fn parameter_sets(data: &[u8]) {
    let mut rbsp = Vec::new();
    unescape(data, &mut rbsp);
    assert!(rbsp.len() <= data.len());
    if let Ok(sps) = Sps::parse(&rbsp) {
        assert!((1..=80_216_064).contains(&(sps.width as u64 * sps.height as u64)));
        assert!(sps.width % 8 == 0 && sps.height % 8 == 0);
        let (x, y, width, height) = sps.conformance_rectangle();
        assert!(x + width <= sps.width && y + height <= sps.height);
        assert!(width > 0 && height > 0);
        assert!(sps.max_dec_pic_buffering <= 16 && sps.bit_depth_luma <= 16);
    }
    if let Ok(pps) = Pps::parse(&rbsp) {
        assert!(pps.pic_parameter_set_id < 64 && pps.seq_parameter_set_id < 16);
    }
    let _ = HevcConfig::parse(data);
}

/// Slice data after valid parameter sets, which are those of the stream selected by the first byte.
pub fn slice_data(data: &[u8]) {
    const STREAMS: [&[u8]; 4] = [
        include_bytes!("../../data/b_pyramid.hevc"),
        include_bytes!("../../data/wavefront.hevc"),
        include_bytes!("../../data/high444.hevc"),
        include_bytes!("../../data/cu_lossless.hevc"),
    ];
    let Some((&choice, data)) = data.split_first() else {
        return;
    };
    let mut input = Vec::new();
    let mut slices = 0;
    for (_, nal) in AnnexB::new(STREAMS[choice as usize % STREAMS.len()]) {
        // Two unchanged pictures, as references of later ones.
        slices += (nal[0] < 64) as u32;
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
        // A damaged I picture whose slice data is left out counts as one without motion.
        if skipped.damage.is_none() {
            assert!(full.motion.mv() == skipped.motion.mv());
            assert!(full.motion.ref_poc() == skipped.motion.ref_poc());
        }
    }
    let deferred = testkit::pictures(Decoder::deferring(&Options::default()), data);
    assert_eq!(one.len(), deferred.len());
    for (a, b) in one.iter().zip(&deferred) {
        assert!(a.motion.mv() == b.motion.mv() && a.motion.ref_poc() == b.motion.ref_poc());
        assert!(a.damage == b.damage);
    }
    if data.first().is_some_and(|b| b & 15 == 0) {
        let two = pictures(data, 2, true);
        assert_eq!(one.len(), two.len());
        for (a, b) in one.iter().zip(&two) {
            assert!(a.motion.mv() == b.motion.mv() && a.damage == b.damage);
        }
    }
}

fn pictures(data: &[u8], threads: usize, intra: bool) -> Vec<Picture> {
    let pictures = testkit::pictures(Decoder::new(&Options { threads, intra }), data);
    pictures.iter().for_each(check);
    pictures
}

fn check(picture: &Picture) {
    let (info, motion) = (&picture.info, &picture.motion);
    let blocks = (info.sps.width / 4) as usize * (info.sps.height / 4) as usize;
    assert_eq!(motion.mv().len(), 2 * blocks);
    assert_eq!(motion.ref_idx().len(), 2 * blocks);
    assert_eq!(motion.ref_poc().len(), 2 * blocks);
    let counts = motion.stats();
    let covered = counts.intra + counts.skipped + counts.partitions.iter().sum::<u32>();
    assert!(covered as usize <= blocks);
    let refs = motion.ref_idx().iter().zip(motion.mv());
    for ((&ref_idx, &mv), &poc) in refs.zip(motion.ref_poc()) {
        assert!((-1..16).contains(&ref_idx));
        assert!(ref_idx >= 0 || (mv == [0; 2] && poc == NO_POC));
        assert!(ref_idx < 0 || poc != NO_POC || picture.damage.is_some());
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
