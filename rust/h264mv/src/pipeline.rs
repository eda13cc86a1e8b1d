//! Plans in, pictures out, in decoding order; parsed on any number of threads with the same result.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::frames::Frames;
use crate::parse::{parse_picture, ColocatedSource, Pool, Workspace};
use crate::picture::Picture;
use crate::plan::PicturePlan;

/// A picture on its way.
#[derive(Debug)]
struct Job {
    plan: Arc<PicturePlan>,
    looks_at: Vec<u32>,
    started: bool,
    picture: Option<Picture>,
}

#[derive(Debug, Default)]
struct State {
    /// Motion of pictures that have left the queue.
    frames: Frames,
    /// Pictures in decoding order from the first that is not parsed yet.
    jobs: VecDeque<Job>,
    /// How many pictures have left the queue.
    passed: usize,
    ready: VecDeque<Picture>,
    stop: bool,
    failed: bool,
}

impl State {
    /// The first picture that waits for no other. Pictures look at earlier ones only, so as long as
    /// one is waiting some thread can go on.
    fn startable(&self) -> Option<usize> {
        (0..self.jobs.len()).find(|&i| {
            let parsed = |frame: &u32| {
                let mut earlier = self.jobs.range(..i);
                earlier.all(|j| j.plan.info.frame != *frame || j.picture.is_some())
            };
            !self.jobs[i].started && self.jobs[i].looks_at.iter().all(parsed)
        })
    }

    /// What a thread needs to parse the picture at `place` of the queue, and the picture's number.
    fn start(&mut self, place: usize) -> (usize, Arc<PicturePlan>, Frames) {
        let mut seen = Frames::default();
        for &frame in &self.jobs[place].looks_at {
            if let Some(motion) = self.frames.colocated(frame) {
                seen.insert(frame, motion);
            }
        }
        let looks_at = &self.jobs[place].looks_at;
        for job in self.jobs.range(..place) {
            if let Some(picture) = &job.picture {
                if looks_at.contains(&picture.info.frame) {
                    seen.put(picture);
                }
            }
        }
        let job = &mut self.jobs[place];
        job.started = true;
        (self.passed + place, job.plan.clone(), seen)
    }

    /// Takes a parsed picture; those at the head of the queue leave it.
    fn complete(&mut self, number: usize, picture: Picture, pool: &Pool) {
        self.jobs[number - self.passed].picture = Some(picture);
        while self.jobs.front().is_some_and(|j| j.picture.is_some()) {
            let Some(job) = self.jobs.pop_front() else {
                break;
            };
            self.passed += 1;
            if let Some(picture) = job.picture {
                self.frames.put(&picture);
                self.frames.keep(&job.plan.live, pool);
                self.ready.push_back(picture);
            }
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There may be something to start.
    work: Condvar,
    /// A picture is parsed.
    done: Condvar,
    pool: Pool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Parses a picture that [`State::startable`] found; the lock is not held meanwhile.
    fn parse<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        place: usize,
        work: &mut Workspace,
    ) -> MutexGuard<'a, State> {
        let (number, plan, seen) = state.start(place);
        drop(state);
        let picture = parse_picture(&plan, &seen, work);
        drop((plan, seen));
        let mut state = self.lock();
        state.complete(number, picture, &self.pool);
        state
    }

    fn run(&self) {
        let _guard = Alarm(self);
        let mut work = Workspace::with_pool(self.pool.clone());
        let mut state = self.lock();
        while !state.stop {
            match state.startable() {
                Some(place) => {
                    state = self.parse(state, place, &mut work);
                    self.work.notify_all();
                    self.done.notify_all();
                }
                None => {
                    state = self
                        .work
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner)
                }
            }
        }
    }
}

/// Wakes who waits for a thread that panics.
struct Alarm<'a>(&'a Shared);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().failed = true;
            self.0.done.notify_all();
        }
    }
}

/// Parses plans in the background; with one thread, as they come.
#[derive(Debug)]
pub(crate) struct Pipeline {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    own: Workspace,
    ended: bool,
}

impl Pipeline {
    /// A pipeline with `threads` (1 to 64) threads.
    pub fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let start = |_| {
            let shared = shared.clone();
            std::thread::spawn(move || shared.run())
        };
        let count = threads.clamp(1, 64);
        Pipeline {
            threads: (0..if count > 1 { count } else { 0 }).map(start).collect(),
            own: Workspace::with_pool(shared.pool.clone()),
            shared,
            ended: false,
        }
    }

    /// Spare arrays of all threads.
    pub fn pool(&self) -> &Pool {
        &self.shared.pool
    }

    /// Takes the next picture's plan in decoding order.
    pub fn push(&mut self, plan: PicturePlan) {
        let mut state = self.shared.lock();
        state.jobs.push_back(Job {
            looks_at: plan.colocated_frames(),
            plan: Arc::new(plan),
            started: false,
            picture: None,
        });
        if self.threads.is_empty() {
            drop(self.shared.parse(state, 0, &mut self.own));
        } else {
            drop(state);
            self.shared.work.notify_one();
        }
    }

    /// No plan will follow: the next calls of `next` wait for all pictures.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next picture in decoding order. Waits for one where many are on their way, which bounds
    /// the memory; else gives None.
    ///
    /// # Panics
    ///
    /// If a parsing thread did.
    pub fn next(&mut self) -> Option<Picture> {
        let mut state = self.shared.lock();
        loop {
            if let Some(picture) = state.ready.pop_front() {
                return Some(picture);
            }
            assert!(!state.failed, "a thread that parses pictures panicked");
            let queued = state.jobs.len();
            let front = &state.jobs.front()?.plan.info;
            if !self.ended && queued < self.most(front.width_mbs * front.height_mbs) {
                return None;
            }
            let done = &self.shared.done;
            state = done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Enough pictures to keep all threads busy, few enough for their arrays to stay in the caches.
    fn most(&self, macroblocks: u32) -> usize {
        let threads = self.threads.len();
        let fitting = 30_000 / (macroblocks as usize + 1);
        fitting.clamp(threads * 3, threads * 16)
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
