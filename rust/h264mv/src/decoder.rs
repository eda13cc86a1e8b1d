//! Pictures of a stream, one after the other, in decoding order.

use std::collections::VecDeque;

use crate::batch::{parse_all, Frames};
use crate::error::{Error, Result};
use crate::nal::AnnexB;
use crate::parse::{parse_picture, Pool, Workspace};
use crate::picture::Picture;
use crate::plan::PicturePlan;
use crate::tracker::Tracker;

/// How a [`Decoder`] works.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads that parse pictures; the result does not depend on it.
    pub threads: usize,
    /// Whether errors outside of pictures (parameter sets, unsupported units) end the stream.
    pub strict: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            threads: 1,
            strict: false,
        }
    }
}

/// Parses motion from NAL units that are fed to it.
#[derive(Debug)]
pub struct Decoder {
    tracker: Tracker,
    frames: Frames,
    pool: Pool,
    work: Vec<Workspace>,
    waiting: Vec<PicturePlan>,
    ready: VecDeque<Picture>,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new(options: &Options) -> Self {
        let threads = options.threads.clamp(1, 64);
        let pool = Pool::default();
        Decoder {
            tracker: Tracker::new(false),
            frames: Frames::default(),
            work: (0..threads)
                .map(|_| Workspace::with_pool(pool.clone()))
                .collect(),
            pool,
            waiting: Vec::new(),
            ready: VecDeque::new(),
        }
    }

    /// Takes a NAL unit, without start code or length. `sample` comes back as
    /// [`crate::PictureInfo::sample`]. An error concerns this unit alone.
    pub fn push(&mut self, nal: &[u8], sample: u64) -> Result<()> {
        let plan = self.tracker.push(nal, sample)?;
        self.enqueue(plan);
        Ok(())
    }

    /// Tells that an access unit or the stream is complete.
    pub fn end_of_access_unit(&mut self) {
        let plan = self.tracker.flush();
        self.enqueue(plan);
    }

    /// Ends the stream: all its pictures become ready.
    pub fn finish(&mut self) {
        self.end_of_access_unit();
        self.parse_waiting();
    }

    /// The next picture in decoding order, once enough of the stream was pushed.
    pub fn next_picture(&mut self) -> Option<Picture> {
        self.ready.pop_front()
    }

    /// Takes a picture back, so that its arrays are used again.
    pub fn recycle(&mut self, picture: Picture) {
        self.pool.recycle(picture.motion);
    }

    /// The decoder's spare arrays, to recycle pictures that outlive a borrow of it.
    pub fn pool(&self) -> Pool {
        self.pool.clone()
    }

    fn enqueue(&mut self, plan: Option<PicturePlan>) {
        let Some(plan) = plan else {
            return;
        };
        if self.work.len() == 1 {
            let picture = parse_picture(&plan, &self.frames, &mut self.work[0]);
            self.frames.put(&picture);
            self.frames.keep(&plan.live, &self.pool);
            self.ready.push_back(picture);
            return;
        }
        let blocks = plan.info.width_mbs as usize * plan.info.height_mbs as usize * 16;
        self.waiting.push(plan);
        // Enough pictures to share out, few enough for their arrays to stay in the caches.
        let threads = self.work.len();
        let most = (16_000_000 / (blocks * 10 + 1)).clamp(threads * 4, threads * 16);
        if self.waiting.len() >= most {
            self.parse_waiting();
        }
    }

    /// Parses the pictures collected, on all threads.
    fn parse_waiting(&mut self) {
        let plans = std::mem::take(&mut self.waiting);
        if plans.is_empty() {
            return;
        }
        let pictures = parse_all(&plans, &self.frames, &mut self.work);
        for (plan, picture) in plans.iter().zip(pictures) {
            self.frames.put(&picture);
            self.frames.keep(&plan.live, &self.pool);
            self.ready.push_back(picture);
        }
    }
}

/// Iterates over the pictures of an Annex B byte stream held in memory.
#[derive(Debug)]
pub struct AnnexBPictures<'a> {
    decoder: Decoder,
    units: Option<AnnexB<'a>>,
    strict: bool,
    error: Option<Error>,
}

impl<'a> AnnexBPictures<'a> {
    /// Pictures of `data` in decoding order.
    pub fn new(data: &'a [u8], options: &Options) -> Self {
        AnnexBPictures {
            decoder: Decoder::new(options),
            units: Some(AnnexB::new(data)),
            strict: options.strict,
            error: None,
        }
    }

    /// Takes a picture back, so that its arrays are used again.
    pub fn recycle(&mut self, picture: Picture) {
        self.decoder.recycle(picture);
    }

    /// The first error outside of pictures, where the stream was not ended by it.
    pub fn first_error(&self) -> Option<&Error> {
        self.error.as_ref()
    }
}

impl Iterator for AnnexBPictures<'_> {
    type Item = Result<Picture>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(picture) = self.decoder.next_picture() {
                return Some(Ok(picture));
            }
            let units = self.units.as_mut()?;
            let Some((offset, nal)) = units.next() else {
                self.units = None;
                self.decoder.finish();
                continue;
            };
            if let Err(error) = self.decoder.push(nal, offset as u64) {
                self.error.get_or_insert(error.clone());
                if self.strict || matches!(error, Error::Unsupported { .. }) {
                    self.units = None;
                    return Some(Err(error));
                }
            }
        }
    }
}
