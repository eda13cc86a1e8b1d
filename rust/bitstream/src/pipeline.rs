//! Parsing of pictures on several threads: plans in, pictures out, in decoding order.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::codec::PictureQueue;

#[derive(Debug)]
struct State<Q> {
    queue: Q,
    /// Number of threads that wait for a task.
    idle: usize,
    /// The thread that fetches pictures waits for one.
    is_fetching: bool,
    stop: bool,
    /// A thread panicked.
    failed: bool,
}

#[derive(Debug)]
struct Shared<Q> {
    state: Mutex<State<Q>>,
    /// There may be a task.
    work: Condvar,
    /// A task is done, or a thread panicked.
    done: Condvar,
}

impl<Q: PictureQueue> Shared<Q> {
    fn lock(&self) -> MutexGuard<'_, State<Q>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Executes a task without the lock, and stores its result.
    fn execute(&self, task: Q::Task, workspace: &mut Q::Workspace) -> MutexGuard<'_, State<Q>> {
        let outcome = Q::execute(task, workspace);
        let mut state = self.lock();
        state.queue.store(outcome);
        // A notification is a system call even if no thread waits.
        if state.idle > 0 {
            self.work.notify_all();
        }
        if state.is_fetching {
            self.done.notify_one();
        }
        state
    }

    /// Executes tasks until the pipeline stops.
    fn run(&self, mut workspace: Q::Workspace) {
        let _notifier = PanicNotifier(self);
        let mut state = self.lock();
        while !state.stop {
            if let Some(task) = state.queue.next_task() {
                drop(state);
                state = self.execute(task, &mut workspace);
            } else {
                state.idle += 1;
                state = wait(&self.work, state);
                state.idle -= 1;
            }
        }
    }
}

fn wait<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition
        .wait(guard)
        .unwrap_or_else(PoisonError::into_inner)
}

/// Wakes the fetching thread if this thread panics.
struct PanicNotifier<'a, Q: PictureQueue>(&'a Shared<Q>);

impl<Q: PictureQueue> Drop for PanicNotifier<'_, Q> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().failed = true;
            self.0.done.notify_all();
        }
    }
}

/// Parses pictures on background threads and on the thread that fetches them; with one thread, as they
/// are pushed.
#[derive(Debug)]
pub struct Pipeline<Q: PictureQueue> {
    shared: Arc<Shared<Q>>,
    /// All threads but the one that fetches.
    threads: Vec<JoinHandle<()>>,
    workspace: Q::Workspace,
    pool: Q::Pool,
    ended: bool,
}

impl<Q: PictureQueue> Pipeline<Q> {
    /// A pipeline on `threads` (1 to 64) threads.
    pub fn new(threads: usize) -> Self {
        let pool = Q::Pool::default();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                queue: Q::new(pool.clone()),
                idle: 0,
                is_fetching: false,
                stop: false,
                failed: false,
            }),
            work: Condvar::new(),
            done: Condvar::new(),
        });
        let start = |_| {
            let (shared, workspace) = (shared.clone(), Q::workspace(pool.clone()));
            std::thread::spawn(move || shared.run(workspace))
        };
        Pipeline {
            threads: (1..threads.clamp(1, 64)).map(start).collect(),
            workspace: Q::workspace(pool.clone()),
            shared,
            pool,
            ended: false,
        }
    }

    /// Unused arrays, shared by all threads.
    pub fn pool(&self) -> &Q::Pool {
        &self.pool
    }

    /// Adds the plan of the next picture in decoding order.
    pub fn push(&mut self, plan: Q::Plan) {
        let mut state = self.shared.lock();
        state.queue.push(plan);
        if self.threads.is_empty() {
            while let Some(task) = state.queue.next_task() {
                drop(state);
                state = self.shared.execute(task, &mut self.workspace);
            }
        } else if state.idle > 0 {
            drop(state);
            self.shared.work.notify_one();
        }
    }

    /// No plan will follow: [`Self::next_picture`] then returns all remaining pictures.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next picture in decoding order. If it is not parsed and few pictures are queued, returns None;
    /// else takes part in the parsing, which limits the memory.
    ///
    /// # Panics
    ///
    /// If a parsing thread panicked.
    pub fn next_picture(&mut self) -> Option<Q::Picture> {
        let mut state = self.shared.lock();
        loop {
            if let Some(picture) = state.queue.pop() {
                return Some(picture);
            }
            assert!(!state.failed, "a thread that parses pictures panicked");
            let queue = &mut state.queue;
            if queue.is_empty() || !self.ended && queue.len() < self.max_queued(queue.area()) {
                return None;
            }
            if let Some(task) = queue.next_task() {
                drop(state);
                state = self.shared.execute(task, &mut self.workspace);
            } else {
                state.is_fetching = true;
                state = wait(&self.shared.done, state);
                state.is_fetching = false;
            }
        }
    }

    /// Number of pictures of `area` luma samples that keep all threads busy while their arrays stay in the
    /// caches.
    fn max_queued(&self, area: u64) -> usize {
        let threads = self.threads.len() + 1;
        let fitting = (8_000_000 / (area + 1)) as usize;
        fitting.clamp(threads * 3, threads * 16)
    }
}

impl<Q: PictureQueue> Drop for Pipeline<Q> {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
