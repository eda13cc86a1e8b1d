//! Pictures being parsed: each one once its co-located pictures are.

use std::collections::VecDeque;
use std::sync::Arc;

use bitstream::codec::PictureQueue;

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

/// The parsing of a picture, with its number and co-located motion.
#[derive(Debug)]
pub struct Task {
    number: usize,
    plan: Arc<PicturePlan>,
    colocated: MotionStore,
}

/// Pictures of an H.264 stream.
#[derive(Debug)]
pub struct Queue {
    /// Motion of pictures that have left `jobs`.
    motion: MotionStore,
    /// Pictures in decoding order, from the first one that is not parsed yet.
    jobs: VecDeque<Job>,
    /// Number of pictures that have left `jobs`.
    num_completed: usize,
    /// Pictures that have left `jobs` and are not fetched yet.
    ready: VecDeque<Picture>,
    pool: Pool,
}

impl Queue {
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
}

impl PictureQueue for Queue {
    type Plan = PicturePlan;
    type Task = Task;
    type Outcome = (usize, Picture);
    type Picture = Picture;
    type Pool = Pool;
    type Workspace = Workspace;

    fn new(pool: Pool) -> Self {
        Queue {
            motion: MotionStore::default(),
            jobs: VecDeque::new(),
            num_completed: 0,
            ready: VecDeque::new(),
            pool,
        }
    }

    fn workspace(pool: Pool) -> Workspace {
        Workspace::new(pool)
    }

    fn push(&mut self, plan: PicturePlan) {
        self.jobs.push_back(Job {
            colocated_frames: plan.colocated_frames(),
            plan: Arc::new(plan),
            started: false,
            picture: None,
        });
    }

    fn next_task(&mut self) -> Option<Task> {
        let position = self.startable()?;
        self.jobs[position].started = true;
        let job = &self.jobs[position];
        let mut colocated = MotionStore::default();
        for &frame in &job.colocated_frames {
            if let Some(motion) = self.motion.get(frame) {
                colocated.insert(frame, motion.clone());
            }
        }
        let earlier = self.jobs.range(..position);
        for picture in earlier.filter_map(|j| j.picture.as_ref()) {
            if job.colocated_frames.contains(&picture.info.frame) {
                colocated.put(picture);
            }
        }
        Some(Task {
            number: self.num_completed + position,
            plan: job.plan.clone(),
            colocated,
        })
    }

    fn execute(task: Task, workspace: &mut Workspace) -> (usize, Picture) {
        let picture = parse_picture(&task.plan, &task.colocated, workspace);
        (task.number, picture)
    }

    fn store(&mut self, (number, picture): (usize, Picture)) {
        self.jobs[number - self.num_completed].picture = Some(picture);
        while let Some(picture) = self.jobs.front_mut().and_then(|j| j.picture.take()) {
            self.motion.put(&picture);
            self.motion.retain(&self.jobs[0].plan.live, &self.pool);
            self.ready.push_back(picture);
            self.jobs.pop_front();
            self.num_completed += 1;
        }
    }

    fn pop(&mut self) -> Option<Picture> {
        self.ready.pop_front()
    }

    fn len(&self) -> usize {
        self.jobs.len()
    }

    fn area(&self) -> u64 {
        self.jobs.front().map_or(0, |job| {
            let info = &job.plan.info;
            256 * u64::from(info.width_mbs) * u64::from(info.height_mbs)
        })
    }
}
