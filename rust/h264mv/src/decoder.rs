//! Pictures of a stream, one after the other, in decoding order.

use crate::error::{Error, Result};
use crate::nal::AnnexB;
use crate::parse::Pool;
use crate::picture::Picture;
use crate::pipeline::Pipeline;
use crate::plan::PicturePlan;
use crate::tracker::Tracker;

/// How a [`Decoder`] works.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads that parse pictures; the result does not depend on it.
    pub threads: usize,
    /// Whether errors outside of pictures (parameter sets, unsupported units) end the stream.
    pub strict: bool,
    /// Whether slice data of pictures that hold I slices alone are parsed as well. Their motion is
    /// known without: none. It takes them to count I_PCM macroblocks and to find damage that
    /// changes no vector. The last picture is always parsed: it is where a stream is cut short.
    pub intra: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            threads: 1,
            strict: false,
            intra: true,
        }
    }
}

/// Parses motion from NAL units that are fed to it.
#[derive(Debug)]
pub struct Decoder {
    tracker: Tracker,
    pipeline: Pipeline,
    intra: bool,
    /// A picture of I slices alone, until it is known whether another one follows.
    held: Option<PicturePlan>,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new(options: &Options) -> Self {
        Decoder {
            tracker: Tracker::new(false),
            pipeline: Pipeline::new(options.threads),
            intra: options.intra,
            held: None,
        }
    }

    /// Takes a NAL unit, without start code or length. `sample` comes back as
    /// [`crate::PictureInfo::sample`]. An error concerns this unit alone.
    pub fn push(&mut self, nal: &[u8], sample: u64) -> Result<()> {
        let done = self.tracker.push(nal, sample)?;
        self.hand_over(done);
        Ok(())
    }

    fn hand_over(&mut self, plan: Option<PicturePlan>) {
        let Some(plan) = plan else {
            return;
        };
        if let Some(mut held) = self.held.take() {
            held.skim();
            self.pipeline.push(held);
        }
        if !self.intra && plan.is_intra() {
            self.held = Some(plan);
        } else {
            self.pipeline.push(plan);
        }
    }

    /// Tells that an access unit or the stream is complete.
    pub fn end_of_access_unit(&mut self) {
        let done = self.tracker.end_of_access_unit();
        self.hand_over(done);
    }

    /// Ends the stream: [`Self::next_picture`] gives all its pictures.
    pub fn finish(&mut self) {
        self.end_of_access_unit();
        if let Some(last) = self.held.take() {
            self.pipeline.push(last);
        }
        self.pipeline.end();
    }

    /// The next picture in decoding order, once enough of the stream was pushed. Take what there is
    /// after each push: this is what bounds the memory.
    pub fn next_picture(&mut self) -> Option<Picture> {
        self.pipeline.next()
    }

    /// Takes a picture back, so that its arrays are used again.
    pub fn recycle(&mut self, picture: Picture) {
        let pool = self.pipeline.pool();
        pool.recycle(picture.motion, picture.ref_poc);
    }

    /// The decoder's spare arrays, to recycle pictures that outlive a borrow of it.
    pub fn pool(&self) -> Pool {
        self.pipeline.pool().clone()
    }
}

/// Iterates over the pictures of an Annex B byte stream held in memory.
#[derive(Debug)]
pub struct AnnexBPictures<'a> {
    decoder: Decoder,
    units: Option<AnnexB<'a>>,
    strict: bool,
    error: Option<Error>,
    /// What ended the stream; it comes after the pictures before it.
    last: Option<Error>,
}

impl<'a> AnnexBPictures<'a> {
    /// Pictures of `data` in decoding order.
    pub fn new(data: &'a [u8], options: &Options) -> Self {
        AnnexBPictures {
            decoder: Decoder::new(options),
            units: Some(AnnexB::new(data)),
            strict: options.strict,
            error: None,
            last: None,
        }
    }

    /// Takes a picture back, so that its arrays are used again.
    pub fn recycle(&mut self, picture: Picture) {
        self.decoder.recycle(picture);
    }

    fn end(&mut self) {
        self.units = None;
        self.decoder.finish();
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
            let Some(units) = &mut self.units else {
                return self.last.take().map(Err);
            };
            let Some((offset, nal)) = units.next() else {
                self.end();
                continue;
            };
            if let Err(error) = self.decoder.push(nal, offset as u64) {
                self.error.get_or_insert(error.clone());
                if self.strict || matches!(error, Error::Unsupported { .. }) {
                    self.last = Some(error);
                    self.end();
                }
            }
        }
    }
}
