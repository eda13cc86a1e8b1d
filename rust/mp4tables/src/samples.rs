//! The samples of a track, in decoding order.

/// Samples of a track in decoding order, one entry a sample. Times are in ticks of the track.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Samples {
    /// Offset of the data in the file.
    pub position: Vec<i64>,
    /// Bytes, more than 0.
    pub size: Vec<i64>,
    /// Time of decoding, never decreasing.
    pub dts: Vec<i64>,
    /// Time of presentation.
    pub pts: Vec<i64>,
    /// Duration, more than 0.
    pub duration: Vec<i64>,
    /// Whether the table of sync samples names it.
    pub key: Vec<bool>,
    /// Whether it is shown; False if an edit list only asks to decode it.
    pub shown: Vec<bool>,
}

impl Samples {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.position.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.position.is_empty()
    }

    pub(crate) fn push(&mut self, sample: &Sample, dts: i64, pts: i64, shown: bool) {
        self.position.push(sample.position);
        self.size.push(sample.size);
        self.dts.push(dts);
        self.pts.push(pts);
        self.duration.push(sample.duration);
        self.key.push(sample.key);
        self.shown.push(shown);
    }
}

/// A sample before edit lists are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    pub position: i64,
    pub size: i64,
    /// Sum of the durations before it.
    pub time: i64,
    pub duration: i64,
    /// Difference between the times of presentation and decoding.
    pub offset: i64,
    pub key: bool,
}

/// Samples that a track may have: 77 hours at 60 a second.
pub(crate) const MAX_SAMPLES: usize = 1 << 24;

/// Bytes that a sample may have (libavformat's limit).
pub(crate) const MAX_SAMPLE_BYTES: u64 = 0x3fff_ffff;
