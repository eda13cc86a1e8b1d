//! Decoder: NAL units in, pictures out, in decoding order.

use crate::codec::{Headers, PictureQueue, Plan, Recycle};
use crate::deferred::{Deferral, Deferred, Next};
use crate::error::Result;
use crate::options::Options;
use crate::pipeline::Pipeline;

type Picture<H> = <<H as Headers>::Queue as PictureQueue>::Picture;
type Pool<H> = <<H as Headers>::Queue as PictureQueue>::Pool;

/// A picture that a decoder gives out.
pub enum Output<H: Headers> {
    /// Its slice data are parsed.
    Parsed(Picture<H>),
    /// They are parsed on demand.
    Deferred(Deferred<H>),
}

/// Parses the motion of a stream from its NAL units.
#[derive(Debug)]
pub struct Decoder<H: Headers> {
    headers: H,
    pipeline: Pipeline<H::Queue>,
    intra: bool,
    /// A picture with I slices only, until another picture follows: the last one is parsed.
    intra_picture: Option<H::Plan>,
    deferral: Option<Deferral<H>>,
}

impl<H: Headers> Decoder<H> {
    /// A decoder at the start of a stream.
    pub fn new(options: &Options) -> Self {
        Decoder {
            headers: H::new(false),
            pipeline: Pipeline::new(options.threads),
            intra: options.intra,
            intra_picture: None,
            deferral: None,
        }
    }

    /// A decoder that gives out [`Output::Deferred`] pictures: those without damage or a lost reference in their headers,
    /// up to the first picture that temporal prediction derives from the motion of others.
    pub fn deferring(options: &Options) -> Self {
        Decoder {
            deferral: Some(Deferral::new()),
            ..Self::new(options)
        }
    }

    /// Parses a NAL unit, given without start code or length. `sample` becomes the sample of the pictures
    /// that start in it. After an error, the next unit can be pushed.
    pub fn push(&mut self, nal: &[u8], sample: u64) -> Result<()> {
        let pushed = self.headers.push(nal, nal.len(), sample);
        self.queue(pushed.complete);
        pushed.result
    }

    fn queue(&mut self, plan: Option<H::Plan>) {
        let Some(plan) = plan else {
            return;
        };
        self.release();
        if !self.intra && plan.is_intra() {
            self.intra_picture = Some(plan);
        } else {
            self.parse(plan);
        }
    }

    /// Parses a picture now, or defers it.
    fn parse(&mut self, plan: H::Plan) {
        let Some(deferral) = &mut self.deferral else {
            return self.pipeline.push(plan);
        };
        let plans = deferral.take(plan);
        for plan in plans {
            self.pipeline.push(plan);
        }
    }

    /// Ends an access unit or the stream.
    pub fn end_of_access_unit(&mut self) {
        let plan = self.headers.end_of_access_unit();
        self.queue(plan);
    }

    /// Gives out the last picture, if it is one of I slices whose data are not parsed: it otherwise waits for
    /// the next picture, since the last one of a stream is parsed.
    pub fn release(&mut self) {
        if let Some(mut previous) = self.intra_picture.take() {
            previous.skip_slice_data();
            self.parse(previous);
        }
    }

    /// Ends the stream: [`Self::next_picture`] then returns all remaining pictures.
    pub fn finish(&mut self) {
        self.end_of_access_unit();
        if let Some(last) = self.intra_picture.take() {
            self.parse(last);
        }
        self.pipeline.end();
    }

    /// The next picture in decoding order; None if it depends on units not pushed yet. Call it after each
    /// push until it returns None: this limits the memory.
    pub fn next_picture(&mut self) -> Option<Picture<H>> {
        Some(match self.next_output()? {
            Output::Parsed(picture) => picture,
            Output::Deferred(picture) => picture.parse(),
        })
    }

    /// As [`Self::next_picture`], without parsing deferred pictures.
    pub fn next_output(&mut self) -> Option<Output<H>> {
        let Some(deferral) = &mut self.deferral else {
            return self.pipeline.next_picture().map(Output::Parsed);
        };
        loop {
            let again = match deferral.next()? {
                Next::Deferred(deferred) => return Some(Output::Deferred(deferred)),
                Next::Parsed { again } => again,
            };
            let Some(mut picture) = self.pipeline.next_picture() else {
                deferral.put_back(again);
                return None;
            };
            if !again {
                return Some(Output::Parsed(picture));
            }
            self.pipeline.pool().recycle(&mut picture);
        }
    }

    /// Returns a picture's arrays for reuse.
    pub fn recycle(&mut self, mut picture: Picture<H>) {
        self.pipeline.pool().recycle(&mut picture);
    }

    /// The pool of unused arrays, for pictures that are recycled without access to the decoder.
    pub fn pool(&self) -> Pool<H> {
        self.pipeline.pool().clone()
    }
}
