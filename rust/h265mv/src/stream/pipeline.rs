//! Parsing of pictures on several threads: plans in, pictures out, in decoding order.
//!
//! Slice data of all pictures is parsed independently; the motion of a picture is derived once that of
//! its co-located pictures is known.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::parse::{derive, parse_syntax, without_motion, Parsed, Picture};
use super::plan::PicturePlan;
use super::pool::Pool;
use crate::motion::field::Motion;
use crate::slice_data::Neighbours;

/// How far a picture is.
#[derive(Debug)]
enum Stage {
    Queued(Box<PicturePlan>),
    /// A thread works on it.
    Busy,
    Parsed(Box<Parsed>),
    Done(Box<Picture>),
}

/// A picture to parse.
#[derive(Debug)]
struct Job {
    number: u64,
    collocated: Vec<u64>,
    /// Pictures that later ones may refer to.
    live: Vec<u64>,
    area: u64,
    stage: Stage,
}

#[derive(Debug, Default)]
struct State {
    /// Motion by picture.
    motions: HashMap<u64, Arc<Motion>>,
    /// Pictures in decoding order, from the first one that is not done.
    jobs: VecDeque<Job>,
    /// Pictures that have left the queue and are not fetched yet.
    ready: VecDeque<Picture>,
    /// Threads that wait for work.
    idle: usize,
    /// The thread that fetches pictures waits for one.
    fetching: bool,
    stop: bool,
    /// A thread panicked.
    failed: bool,
}

/// Work for one thread, with the picture's number.
enum Task {
    Parse(u64, Box<PicturePlan>),
    Derive(u64, Box<Parsed>, HashMap<u64, Arc<Motion>>),
}

impl State {
    /// The first picture whose motion can be derived, else the first whose slice data can be parsed.
    fn next_task(&mut self) -> Option<Task> {
        let first = self.jobs.front()?.number;
        let is_known = |picture: &u64| *picture < first || self.motions.contains_key(picture);
        let derivable = self.jobs.iter().position(|job| {
            matches!(job.stage, Stage::Parsed(_)) && job.collocated.iter().all(is_known)
        });
        let queued = || {
            let is_queued = |job: &Job| matches!(job.stage, Stage::Queued(_));
            self.jobs.iter().position(is_queued)
        };
        let position = derivable.or_else(queued)?;
        let job = &mut self.jobs[position];
        match std::mem::replace(&mut job.stage, Stage::Busy) {
            Stage::Queued(plan) => Some(Task::Parse(job.number, plan)),
            Stage::Parsed(parsed) => {
                let motion = |p: &u64| Some((*p, self.motions.get(p)?.clone()));
                let collocated = job.collocated.iter().filter_map(motion).collect();
                Some(Task::Derive(job.number, parsed, collocated))
            }
            other => {
                job.stage = other;
                None
            }
        }
    }

    /// Stores the result of a task; finished pictures at the front leave the queue.
    fn store(&mut self, number: u64, stage: Stage, pool: &Pool) {
        if let Stage::Done(picture) = &stage {
            self.motions.insert(number, picture.motion.clone());
        }
        if let Some(job) = self.jobs.iter_mut().find(|job| job.number == number) {
            job.stage = stage;
        }
        while matches!(self.jobs.front(), Some(job) if matches!(job.stage, Stage::Done(_))) {
            let Some(job) = self.jobs.pop_front() else {
                break;
            };
            if let Stage::Done(picture) = job.stage {
                self.ready.push_back(*picture);
            }
            let unused = |picture: &u64| *picture < job.number && !job.live.contains(picture);
            let dropped: Vec<u64> = self.motions.keys().copied().filter(unused).collect();
            for picture in dropped {
                if let Some(motion) = self.motions.remove(&picture) {
                    pool.recycle(motion);
                }
            }
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There may be something to do.
    work: Condvar,
    /// A picture is done.
    done: Condvar,
    pool: Pool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Executes a task without the lock, and stores its result.
    fn execute(&self, task: Task, near: &mut Neighbours) -> MutexGuard<'_, State> {
        let (number, stage) = match task {
            Task::Parse(number, plan) if plan.skips_slice_data => {
                let picture = without_motion(*plan, self.pool.take_motion());
                (number, Stage::Done(Box::new(picture)))
            }
            Task::Parse(number, plan) => {
                let parsed = parse_syntax(*plan, near, self.pool.take_syntax());
                (number, Stage::Parsed(Box::new(parsed)))
            }
            Task::Derive(number, parsed, collocated) => {
                let source = |picture: u64| collocated.get(&picture).cloned();
                let picture = derive(*parsed, source, &self.pool);
                (number, Stage::Done(Box::new(picture)))
            }
        };
        let mut state = self.lock();
        state.store(number, stage, &self.pool);
        // A wake-up costs a system call even where nobody waits.
        if state.idle > 0 {
            self.work.notify_all();
        }
        if state.fetching {
            self.done.notify_one();
        }
        state
    }

    fn run(&self) {
        let _alarm = Alarm(self);
        let mut near = Neighbours::default();
        let mut state = self.lock();
        while !state.stop {
            match state.next_task() {
                Some(task) => {
                    drop(state);
                    state = self.execute(task, &mut near);
                }
                None => {
                    state.idle += 1;
                    let woken = self.work.wait(state);
                    state = woken.unwrap_or_else(PoisonError::into_inner);
                    state.idle -= 1;
                }
            }
        }
    }
}

/// Reports a panic of its thread.
struct Alarm<'a>(&'a Shared);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().failed = true;
            self.0.done.notify_all();
        }
    }
}

/// Parses plans in the background, and on the thread that fetches the pictures; with one thread, as they
/// come.
#[derive(Debug)]
pub(crate) struct Pipeline {
    shared: Arc<Shared>,
    /// All threads but the one that fetches the pictures.
    threads: Vec<JoinHandle<()>>,
    near: Neighbours,
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
            threads: (1..count).map(start).collect(),
            near: Neighbours::default(),
            shared,
            ended: false,
        }
    }

    /// Spare arrays of all threads.
    pub fn pool(&self) -> &Pool {
        &self.shared.pool
    }

    /// Adds the next picture in decoding order.
    pub fn push(&mut self, plan: PicturePlan) {
        let mut state = self.shared.lock();
        state.jobs.push_back(Job {
            number: plan.info.decode_index,
            collocated: plan.collocated_pictures(),
            live: plan.live.clone(),
            area: plan.info.sps.width as u64 * plan.info.sps.height as u64,
            stage: Stage::Queued(Box::new(plan)),
        });
        if self.threads.is_empty() {
            while let Some(task) = state.next_task() {
                drop(state);
                state = self.shared.execute(task, &mut self.near);
            }
        } else {
            let idle = state.idle;
            drop(state);
            if idle > 0 {
                self.shared.work.notify_one();
            }
        }
    }

    /// No plan will follow: the next calls of `next` wait for all pictures.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next picture in decoding order. Takes part in the work where many are in the queue, which bounds
    /// the memory; else returns None.
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
            let area = state.jobs.front()?.area;
            if !self.ended && state.jobs.len() < self.max_queued(area) {
                return None;
            }
            if let Some(task) = state.next_task() {
                drop(state);
                state = self.shared.execute(task, &mut self.near);
                continue;
            }
            state.fetching = true;
            let woken = self.shared.done.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
            state.fetching = false;
        }
    }

    /// Enough pictures to keep all threads busy, few enough for their arrays to stay in the caches.
    fn max_queued(&self, area: u64) -> usize {
        let threads = self.threads.len() + 1;
        let fitting = (8_000_000 / (area + 1)) as usize;
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
