//! Pictures being parsed: slice data of any picture, then its motion once that of its co-located pictures
//! is known.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bitstream::codec::{PictureQueue, Plan};

use super::parse::{derive, parse_syntax, without_motion, Parsed};
use super::picture::Picture;
use super::plan::PicturePlan;
use super::pool::Pool;
use crate::motion::field::Motion;
use crate::slice_data::Neighbours;

/// How far a picture is.
#[derive(Debug)]
pub enum Stage {
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

/// Work for one thread, with the picture's number.
#[derive(Debug)]
pub enum Task {
    Parse(u64, Box<PicturePlan>),
    Derive(u64, Box<Parsed>, HashMap<u64, Arc<Motion>>),
}

/// Arrays of one thread.
#[derive(Debug)]
pub struct Workspace {
    near: Neighbours,
    pool: Pool,
}

/// Pictures of an HEVC stream.
#[derive(Debug)]
pub struct Queue {
    /// Motion by picture.
    motions: HashMap<u64, Arc<Motion>>,
    /// Pictures in decoding order, from the first one that is not done.
    jobs: VecDeque<Job>,
    /// Pictures that have left `jobs` and are not fetched yet.
    ready: VecDeque<Picture>,
    pool: Pool,
}

impl Queue {
    /// Returns the arrays of motion that no later picture reads once `job` is done.
    fn drop_unused(&mut self, job: &Job) {
        let is_unused = |picture: &u64| *picture < job.number && !job.live.contains(picture);
        let unused: Vec<u64> = self.motions.keys().copied().filter(is_unused).collect();
        let motions = unused
            .iter()
            .filter_map(|picture| self.motions.remove(picture));
        motions.for_each(|motion| self.pool.recycle_motion(motion));
    }
}

impl PictureQueue for Queue {
    type Plan = PicturePlan;
    type Task = Task;
    type Outcome = (u64, Stage);
    type Picture = Picture;
    type Pool = Pool;
    type Workspace = Workspace;

    fn new(pool: Pool) -> Self {
        Queue {
            motions: HashMap::new(),
            jobs: VecDeque::new(),
            ready: VecDeque::new(),
            pool,
        }
    }

    fn workspace(pool: Pool) -> Workspace {
        let near = Neighbours::default();
        Workspace { near, pool }
    }

    fn push(&mut self, plan: PicturePlan) {
        self.jobs.push_back(Job {
            number: plan.info.decode_index,
            collocated: plan.colocated(),
            live: plan.live.clone(),
            area: plan.info.sps.width as u64 * plan.info.sps.height as u64,
            stage: Stage::Queued(Box::new(plan)),
        });
    }

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

    fn execute(task: Task, workspace: &mut Workspace) -> (u64, Stage) {
        let Workspace { near, pool } = workspace;
        match task {
            Task::Parse(number, plan) if plan.skips_slice_data => {
                let picture = without_motion(*plan, pool.take_motion());
                (number, Stage::Done(Box::new(picture)))
            }
            Task::Parse(number, plan) => {
                let parsed = parse_syntax(*plan, near, pool.take_syntax());
                (number, Stage::Parsed(Box::new(parsed)))
            }
            Task::Derive(number, parsed, collocated) => {
                let source = |picture: u64| collocated.get(&picture).cloned();
                let picture = derive(*parsed, source, pool);
                (number, Stage::Done(Box::new(picture)))
            }
        }
    }

    fn store(&mut self, (number, stage): (u64, Stage)) {
        if let Stage::Done(picture) = &stage {
            self.motions.insert(number, picture.motion.clone());
        }
        if let Some(job) = self.jobs.iter_mut().find(|job| job.number == number) {
            job.stage = stage;
        }
        while matches!(self.jobs.front(), Some(job) if matches!(job.stage, Stage::Done(_))) {
            let Some(mut job) = self.jobs.pop_front() else {
                break;
            };
            if let Stage::Done(picture) = std::mem::replace(&mut job.stage, Stage::Busy) {
                self.ready.push_back(*picture);
            }
            self.drop_unused(&job);
        }
    }

    fn pop(&mut self) -> Option<Picture> {
        self.ready.pop_front()
    }

    fn len(&self) -> usize {
        self.jobs.len()
    }

    fn area(&self) -> u64 {
        self.jobs.front().map_or(0, |job| job.area)
    }
}
