//! What holds for any input, damaged or not; also checked by fuzzing.

use mp4tables::{Movie, ReadAt};

/// Reads the tables of a file: they fit the file and themselves, or are refused.
pub fn tables(data: &[u8]) {
    let Ok(movie) = Movie::read(data) else {
        return;
    };
    let samples = movie.track.samples;
    let count = samples.len();
    for column in [&samples.size, &samples.dts, &samples.pts, &samples.duration] {
        assert_eq!(column.len(), count);
    }
    assert!(samples.key.len() == count && samples.shown.len() == count && count > 0);
    for (&position, &size) in samples.position.iter().zip(&samples.size) {
        assert!(position >= 0 && size > 0 && (position + size) as u64 <= data.size());
    }
    assert!(samples.dts.windows(2).all(|pair| pair[0] <= pair[1]));
}
