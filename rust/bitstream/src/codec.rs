//! What a codec provides: parsing of headers, and the tasks that parse a picture.
//!
//! [`crate::Decoder`], [`crate::StreamIndex`] and [`crate::Pipeline`] are written for these traits.

use std::fmt::Debug;

use crate::error::Result;

/// What a NAL unit brings.
#[derive(Debug)]
pub struct Pushed<Plan> {
    /// The picture before the unit, if the unit shows that it is complete.
    pub complete: Option<Plan>,
    /// Whether the unit itself is sound. After an error, the next one can be pushed.
    pub result: Result<()>,
}

/// Parses the headers of a stream: NAL units in, plans of pictures out, in decoding order.
pub trait Headers {
    /// A picture that is ready to be parsed.
    type Plan: Plan;
    /// The pictures being parsed.
    type Queue: PictureQueue<Plan = Self::Plan>;

    /// Difference in picture order count between frames if no two frames of a stream tell it.
    const DEFAULT_POC_INTERVAL: i64;

    /// A parser at the start of a stream; with `headers_only`, its plans have no slice data.
    fn new(headers_only: bool) -> Self;
    /// Takes a NAL unit of `size` bytes; `nal` may hold its start only if slice data is not parsed.
    fn push(&mut self, nal: &[u8], size: usize, sample: u64) -> Pushed<Self::Plan>;
    /// Ends an access unit or the stream; returns its picture.
    fn end_of_access_unit(&mut self) -> Option<Self::Plan>;
    /// Number of bytes of the unit pushed last that [`Self::push`] needs to parse its headers again.
    fn bytes_to_log(&self, nal: &[u8]) -> usize;
    /// Whether slices are lost if the unit cannot be parsed.
    fn loses_slices(nal: &[u8]) -> bool;
}

/// Headers, slice data and reference lists of a picture. Its motion is a function of them and of the
/// motion of its co-located pictures.
pub trait Plan: Clone {
    /// Header information.
    type Info;

    /// Header information of the picture.
    fn info(&self) -> &Self::Info;
    /// Number of the coded video sequence and picture order count: sorts pictures for presentation.
    fn presentation(&self) -> (u32, i32);
    /// Identity of the frame; the two fields of a frame share it.
    fn frame(&self) -> u64;
    /// Frames whose motion temporal prediction of this picture reads.
    fn colocated(&self) -> Vec<u64>;
    /// Whether headers imply that all slices of the picture, lost ones included, are I slices: whatever
    /// its slice data, the picture has no motion.
    fn is_intra(&self) -> bool;
    /// Whether the picture can be parsed later than those behind it, apart from their need of its motion: its headers
    /// show no damage, and no lost picture among the references.
    fn is_deferrable(&self) -> bool;
    /// Whether pictures after this one may refer to a frame.
    fn keeps(&self, frame: u64) -> bool;
    /// Drops the slice data of a picture without motion.
    fn skip_slice_data(&mut self);
    /// Frees memory that is reserved and not filled, in a plan of headers only that is kept.
    fn shrink(&mut self);
    /// Samples that contain the picture's slices.
    fn samples(&self) -> Vec<u64>;
    /// Adds slice data to a plan of headers only. `units` returns a NAL unit by sample and index among
    /// the NAL units of that sample.
    fn attach<'a>(&mut self, units: impl Fn(u64, u32) -> Option<&'a [u8]>) -> Result<()>;
}

/// Pictures being parsed, in decoding order: what can be done next, and what is done.
///
/// A codec divides the parsing of a picture into one task or more and says when each can start.
pub trait PictureQueue: Send + 'static {
    /// A picture to parse.
    type Plan;
    /// Work for one thread, with all that it reads.
    type Task;
    /// Result of a task.
    type Outcome;
    /// A parsed picture.
    type Picture: Clone;
    /// Unused arrays, shared by all threads.
    type Pool: Recycle<Self::Picture>;
    /// Arrays that a thread keeps from task to task.
    type Workspace: Debug + Send + 'static;

    /// An empty queue.
    fn new(pool: Self::Pool) -> Self;
    /// Arrays for a thread.
    fn workspace(pool: Self::Pool) -> Self::Workspace;
    /// Adds the next picture in decoding order.
    fn push(&mut self, plan: Self::Plan);
    /// A task that can start now. While pictures are left and no task is being executed, there is one.
    fn next_task(&mut self) -> Option<Self::Task>;
    /// Executes a task, without access to the queue.
    fn execute(task: Self::Task, workspace: &mut Self::Workspace) -> Self::Outcome;
    /// Takes the result of a task.
    fn store(&mut self, outcome: Self::Outcome);
    /// Removes the next picture in decoding order, if it is parsed.
    fn pop(&mut self) -> Option<Self::Picture>;
    /// Number of pictures that are not parsed, or that follow one that is not.
    fn len(&self) -> usize;
    /// Luma samples of the first of them.
    fn area(&self) -> u64;
    /// Whether no picture is left to parse.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Moves an array that is kept into a block of its size.
///
/// `shrink_to_fit` leaves the array where it is, in front of a rest that the larger arrays to come do not fit in.
pub fn fit<T>(array: &mut Vec<T>) {
    if array.capacity() > array.len() {
        let mut exact = Vec::with_capacity(array.len());
        exact.append(array);
        *array = exact;
    }
}

/// Reuse of the arrays of pictures.
pub trait Recycle<Picture>: Debug + Default + Clone {
    /// Takes the arrays of a picture, unless something else refers to them.
    fn recycle(&self, picture: &mut Picture);
}
