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

/// A picture that was not fetched yet, in decoding order.
enum Waiting<H: Headers> {
    Deferred(Deferred<H>),
    /// The next one of the pipeline.
    Parsed,
    /// The next one of the pipeline, which was given out as a deferred picture before.
    ParsedAgain,
}

/// What is to be fetched next.
pub(crate) enum Next<H: Headers> {
    /// A deferred picture.
    Deferred(Deferred<H>),
    /// The next picture of the pipeline, and whether it was given out before.
    Parsed {
        /// Whether it was given out as a deferred picture before.
        again: bool,
    },
}

/// Decides which pictures of a stream are deferred: those that show no damage in their headers, until one needs the
/// motion of others.
pub(crate) struct Deferral<H: Headers> {
    parser: Parser<H>,
    /// Deferred pictures that later ones may refer to.
    referable: Vec<Arc<H::Plan>>,
    waiting: VecDeque<Waiting<H>>,
    ended: bool,
}

impl<H: Headers> fmt::Debug for Deferral<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.waiting.len();
        f.debug_struct("Deferral")
            .field("waiting", &waiting)
            .finish_non_exhaustive()
    }
}

impl<H: Headers> Deferral<H> {
    pub fn new() -> Self {
        Deferral {
            parser: Arc::new(Mutex::new(Pipeline::new(1))),
            referable: Vec::new(),
            waiting: VecDeque::new(),
            ended: false,
        }
    }

    /// Takes the next picture. Returns what the pipeline has to parse, in this order: nothing for a picture that is
    /// deferred, else the deferred ones that may be referred to, and the picture.
    pub fn take(&mut self, plan: H::Plan) -> Vec<H::Plan> {
        self.ended |= !plan.colocated().is_empty();
        if self.ended || !plan.is_deferrable() {
            // All of them: the pipeline keeps motion by the order of decoding.
            let earlier = self.referable.drain(..).map(Arc::unwrap_or_clone);
            let mut plans: Vec<_> = earlier.collect();
            self.waiting
                .extend(plans.iter().map(|_| Waiting::ParsedAgain));
            self.waiting.push_back(Waiting::Parsed);
            plans.push(plan);
            return plans;
        }
        let plan = Arc::new(plan);
        self.referable.retain(|earlier| plan.keeps(earlier.frame()));
        if plan.keeps(plan.frame()) {
            self.referable.push(plan.clone());
        }
        let parser = self.parser.clone();
        self.waiting
            .push_back(Waiting::Deferred(Deferred { plan, parser }));
        Vec::new()
    }

    /// Takes the next picture in decoding order from those that wait.
    pub fn next(&mut self) -> Option<Next<H>> {
        Some(match self.waiting.pop_front()? {
            Waiting::Deferred(deferred) => Next::Deferred(deferred),
            Waiting::Parsed => Next::Parsed { again: false },
            Waiting::ParsedAgain => Next::Parsed { again: true },
        })
    }

    /// Puts back what [`Self::next`] took: the pipeline has not parsed it yet.
    pub fn put_back(&mut self, again: bool) {
        self.waiting.push_front(match again {
            true => Waiting::ParsedAgain,
            false => Waiting::Parsed,
        });
    }
}
