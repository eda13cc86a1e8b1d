//! Parsing of pictures on several threads: plans in, pictures out, in decoding order.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::stream::motion_store::MotionStore;
use crate::stream::parse_picture::{parse_picture, Workspace};
use crate::stream::picture::Picture;
use crate::stream::plan::PicturePlan;
use crate::stream::pool::Pool;

/// A picture to parse.
#[derive(Debug)]
struct Job {
    plan: Arc<PicturePlan>,
    colocated_frames: Vec<u32>,
    started: bool,
    picture: Option<Picture>,
}

#[derive(Debug, Default)]
struct State {
    /// Motion of pictures that have left the queue.
    motion: MotionStore,
    /// Pictures in decoding order, from the first one that is not parsed yet.
    jobs: VecDeque<Job>,
    /// Number of pictures that have left the queue.
    num_completed: usize,
    /// Pictures that have left the queue and are not fetched yet.
    ready: VecDeque<Picture>,
    stop: bool,
    /// A thread panicked.
    failed: bool,
}

impl State {
    /// Position of the first picture whose co-located pictures are parsed. Pictures read earlier ones
    /// only, so while any picture is not started some thread can continue.
    fn startable(&self) -> Option<usize> {
        (0..self.jobs.len()).find(|&i| {
            let is_parsed = |frame: &u32| {
                let mut earlier = self.jobs.range(..i);
                earlier.all(|j| j.plan.info.frame != *frame || j.picture.is_some())
            };
            !self.jobs[i].started && self.jobs[i].colocated_frames.iter().all(is_parsed)
        })
    }

    /// Starts the picture at `position` of the queue: its number, its plan and co-located motion.
    fn start(&mut self, position: usize) -> (usize, Arc<PicturePlan>, MotionStore) {
        self.jobs[position].started = true;
        let job = &self.jobs[position];
        let mut colocated = MotionStore::default();
        for &frame in &job.colocated_frames {
            if let Some(motion) = self.motion.get(frame) {
                colocated.insert(frame, motion.clone());
            }
        }
        for picture in self
            .jobs
            .range(..position)
            .filter_map(|j| j.picture.as_ref())
        {
            if job.colocated_frames.contains(&picture.info.frame) {
                colocated.put(picture);
            }
        }
        (self.num_completed + position, job.plan.clone(), colocated)
    }

    /// Stores a parsed picture; parsed pictures at the front leave the queue.
    fn complete(&mut self, number: usize, picture: Picture, pool: &Pool) {
        self.jobs[number - self.num_completed].picture = Some(picture);
        while let Some(picture) = self.jobs.front_mut().and_then(|j| j.picture.take()) {
            self.motion.put(&picture);
            self.motion.retain(&self.jobs[0].plan.live, pool);
            self.ready.push_back(picture);
            self.jobs.pop_front();
            self.num_completed += 1;
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// A picture may have become startable.
    startable: Condvar,
    /// A picture is parsed, or a thread panicked.
    parsed: Condvar,
    pool: Pool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Parses the picture at `position`, which is startable, without holding the lock.
    fn parse<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        position: usize,
        workspace: &mut Workspace,
    ) -> MutexGuard<'a, State> {
        let (number, plan, colocated) = state.start(position);
        drop(state);
        let picture = parse_picture(&plan, &colocated, workspace);
        drop((plan, colocated));
        let mut state = self.lock();
        state.complete(number, picture, &self.pool);
        state
    }

    /// Parses pictures until the pipeline stops.
    fn run(&self) {
        let _notifier = PanicNotifier(self);
        let mut workspace = Workspace::new(self.pool.clone());
        let mut state = self.lock();
        while !state.stop {
            match state.startable() {
                Some(position) => {
                    state = self.parse(state, position, &mut workspace);
                    self.startable.notify_all();
                    self.parsed.notify_all();
                }
                None => {
                    state = self
                        .startable
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner)
                }
            }
        }
    }
}

/// Wakes waiting threads if this thread panics.
struct PanicNotifier<'a>(&'a Shared);

impl Drop for PanicNotifier<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().failed = true;
            self.0.parsed.notify_all();
        }
    }
}

/// Parses plans in background threads, or in [`Pipeline::push`] if there is one thread.
#[derive(Debug)]
pub(crate) struct Pipeline {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    workspace: Workspace,
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
            workspace: Workspace::new(shared.pool.clone()),
            shared,
            ended: false,
        }
    }

    /// Unused arrays, shared by all threads.
    pub fn pool(&self) -> &Pool {
        &self.shared.pool
    }

    /// Adds the plan of the next picture in decoding order.
    pub fn push(&mut self, plan: PicturePlan) {
        let mut state = self.shared.lock();
        state.jobs.push_back(Job {
            colocated_frames: plan.colocated_frames(),
            plan: Arc::new(plan),
            started: false,
            picture: None,
        });
        if self.threads.is_empty() {
            drop(self.shared.parse(state, 0, &mut self.workspace));
        } else {
            drop(state);
            self.shared.startable.notify_one();
        }
    }

    /// Ends the stream: [`Self::next`] then waits for all remaining pictures.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next picture in decoding order, None if it is not parsed yet. Waits for it if many pictures
    /// are queued, which limits the memory.
    ///
    /// # Panics
    ///
    /// If a parsing thread panicked.
    pub fn next(&mut self) -> Option<Picture> {
        let mut state = self.shared.lock();
        loop {
            if let Some(picture) = state.ready.pop_front() {
                return Some(picture);
            }
            assert!(!state.failed, "a thread that parses pictures panicked");
            let queued = state.jobs.len();
            let front = &state.jobs.front()?.plan.info;
            if !self.ended && queued < self.max_queued(front.width_mbs * front.height_mbs) {
                return None;
            }
            let parsed = &self.shared.parsed;
            state = parsed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Number of pictures that keep all threads busy while their arrays stay in the caches.
    fn max_queued(&self, macroblocks: u32) -> usize {
        let threads = self.threads.len();
        let fitting = 30_000 / (macroblocks as usize + 1);
        fitting.clamp(threads * 3, threads * 16)
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.startable.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
