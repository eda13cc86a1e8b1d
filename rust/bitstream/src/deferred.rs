//! Pictures whose slice data are parsed when their motion is asked for.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::codec::{Headers, PictureQueue, Plan};
use crate::pipeline::Pipeline;

type Picture<H> = <<H as Headers>::Queue as PictureQueue>::Picture;
type Pool<H> = <<H as Headers>::Queue as PictureQueue>::Pool;
type Parser<H> = Arc<Mutex<Pipeline<<H as Headers>::Queue>>>;

/// A picture that is parsed on demand: no other picture's motion is needed for it.
pub struct Deferred<H: Headers> {
    plan: Arc<H::Plan>,
    parser: Parser<H>,
}

impl<H: Headers> fmt::Debug for Deferred<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deferred").finish_non_exhaustive()
    }
}

impl<H: Headers> Deferred<H> {
    /// Header information of the picture.
    pub fn info(&self) -> &<H::Plan as Plan>::Info {
        self.plan.info()
    }

    /// Parses the picture, with the result that [`crate::Decoder::next_picture`] would have given.
    pub fn parse(&self) -> Picture<H> {
        let mut parser = self.parser.lock().unwrap_or_else(PoisonError::into_inner);
        parser.push((*self.plan).clone());
        let picture = parser.next_picture();
        picture.expect("a pipeline of one thread parses what is pushed")
    }

    /// The pool that the arrays of the parsed picture go back to.
    pub fn pool(&self) -> Pool<H> {
        let parser = self.parser.lock().unwrap_or_else(PoisonError::into_inner);
        parser.pool().clone()
    }
}

/// Decides which pictures of a stream are deferred, until one needs the motion of others.
pub(crate) struct Deferral<H: Headers> {
    parser: Parser<H>,
    /// Deferred pictures that later ones may refer to.
    referable: Vec<Arc<H::Plan>>,
    /// Pictures that are not fetched yet.
    ready: VecDeque<Deferred<H>>,
    ended: bool,
}

impl<H: Headers> fmt::Debug for Deferral<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.ready.len();
        f.debug_struct("Deferral")
            .field("ready", &waiting)
            .finish_non_exhaustive()
    }
}

impl<H: Headers> Deferral<H> {
    pub fn new() -> Self {
        Deferral {
            parser: Arc::new(Mutex::new(Pipeline::new(1))),
            referable: Vec::new(),
            ready: VecDeque::new(),
            ended: false,
        }
    }

    /// Takes the next picture. Returns what has to be parsed now, in this order: nothing while pictures are deferred;
    /// at the first picture that can't be, the earlier ones that it or later ones may refer to, and the picture.
    pub fn take(&mut self, plan: H::Plan) -> Vec<H::Plan> {
        if self.ended {
            return vec![plan];
        }
        if plan.is_sound() && plan.colocated().is_empty() {
            let plan = Arc::new(plan);
            self.referable.retain(|earlier| plan.keeps(earlier.frame()));
            if plan.keeps(plan.frame()) {
                self.referable.push(plan.clone());
            }
            let parser = self.parser.clone();
            self.ready.push_back(Deferred { plan, parser });
            return Vec::new();
        }
        self.ended = true;
        let earlier = self.referable.drain(..);
        let mut plans: Vec<_> = earlier.map(Arc::unwrap_or_clone).collect();
        plans.push(plan);
        plans
    }

    /// The next deferred picture in decoding order; all precede those that were parsed.
    pub fn pop(&mut self) -> Option<Deferred<H>> {
        self.ready.pop_front()
    }
}
