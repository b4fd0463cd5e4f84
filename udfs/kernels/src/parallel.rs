//! How the work of one layer is cut into tasks that own what they write.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use crate::error::Result;
use crate::layout::{Target, split_evenly};
use crate::pool::CancelToken;
use crate::simd::Lanes;

thread_local! {
    static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch::new()) };
}

/// Memory that a thread of the pool computes in. It grows to the largest task (about 10 MB in VGG16,
/// 3 MB in MobileNetV2) and is kept for the next one; its contents mean nothing between tasks.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// For a layer's intermediate results.
    pub(crate) lines: Vec<Lanes>,
    /// For the rows of pixels of [`crate::direct`].
    pub(crate) pixels: Vec<Lanes>,
}

impl Scratch {
    const fn new() -> Self {
        Self {
            lines: Vec::new(),
            pixels: Vec::new(),
        }
    }
}

/// The first `len` lines of `lines`, which grows if it must.
pub(crate) fn at_least(lines: &mut Vec<Lanes>, len: usize) -> &mut [Lanes] {
    if lines.len() < len {
        lines.resize(len, Lanes::ZERO);
    }
    &mut lines[..len]
}

/// The threads that work on one micro-batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Team<'a> {
    threads: usize,
    cancel: &'a CancelToken,
}

impl<'a> Team<'a> {
    /// To be used on the pool's own threads, of which there are `threads`; with one, on whichever
    /// thread calls.
    pub(crate) fn new(threads: usize, cancel: &'a CancelToken) -> Self {
        Self { threads, cancel }
    }

    /// The calling thread by itself.
    pub(crate) fn solo(&self) -> Self {
        Self {
            threads: 1,
            ..*self
        }
    }

    /// Number of threads.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// # Errors
    /// [`crate::KernelError::Cancelled`].
    pub(crate) fn check(&self) -> Result<()> {
        self.cancel.check()
    }

    /// Cuts `rows` rows into about `ideal` ranges, and into a multiple of the number of threads
    /// where that matters. If there are fewer ranges than threads, the output channels (`groups` that
    /// cannot be cut) are divided as well.
    pub(crate) fn plan(&self, rows: usize, ideal: usize, groups: usize) -> Plan {
        let ideal = ideal.max(1);
        let ranges = if ideal >= self.threads {
            ideal.next_multiple_of(self.threads)
        } else {
            ideal
        };
        let ranges = ranges.min(rows).max(1);
        let parts = self.threads.div_ceil(ranges).min(groups).max(1);
        Plan {
            ranges: split_evenly(rows, ranges).collect(),
            parts: split_evenly(groups, parts).collect(),
        }
    }

    /// Runs every task once, on all threads, until the micro-batch is cancelled.
    pub(crate) fn for_each<T: Send>(
        &self,
        tasks: Vec<T>,
        run: impl Fn(T, &mut Scratch) + Sync + Send,
    ) {
        let run = |task| {
            // Tasks start no parallel work of their own, so a thread is in one of them at a time
            // and the scratch memory cannot be borrowed twice.
            if !self.cancel.is_cancelled() {
                SCRATCH.with_borrow_mut(|scratch| run(task, scratch));
            }
        };
        if self.threads == 1 {
            tasks.into_iter().for_each(run);
        } else {
            tasks.into_par_iter().with_max_len(1).for_each(run);
        }
    }

    /// Cuts the rows of `target` into tasks of about `ideal` rows and, if there are fewer than
    /// threads, its channels, of which `groups` of so many blocks each cannot be cut; runs them.
    pub(crate) fn for_rows(
        &self,
        target: Target<'_>,
        ideal: usize,
        (groups, group_blocks): (usize, usize),
        run: impl Fn(Task<'_>, &mut Scratch) + Sync + Send,
    ) {
        let map = target.map;
        let count = target.lines.len() / map.image_lines() * map.height;
        let plan = self.plan(count, count.div_ceil(ideal.max(1)), groups);
        let lines = group_blocks * map.columns();
        self.for_each(
            Task::split(&plan, target.into_rows().enumerate(), lines),
            run,
        );
    }
}

/// Ranges of rows times parts of the channels.
#[derive(Debug)]
pub(crate) struct Plan {
    ranges: Vec<Range<usize>>,
    parts: Vec<Range<usize>>,
}

/// One task: a range of rows of tiles, a part of the channels, and the lines to write.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    /// Rows of tiles, counted over all images of the micro-batch.
    pub(crate) range: Range<usize>,
    /// Groups of output channels.
    pub(crate) parts: Range<usize>,
    /// The piece of each pixel row that belongs to `parts`, in the order of the rows.
    pub(crate) rows: Vec<&'a mut [Lanes]>,
}

impl<'a> Task<'a> {
    /// Hands every row in `rows` (each with its row of tiles, in ascending order) to its tasks.
    /// A group of channels has `group_lines` lines in a row.
    pub(crate) fn split(
        plan: &Plan,
        rows: impl Iterator<Item = (usize, &'a mut [Lanes])>,
        group_lines: usize,
    ) -> Vec<Self> {
        let mut tasks: Vec<Self> = Vec::with_capacity(plan.ranges.len() * plan.parts.len());
        for range in &plan.ranges {
            tasks.extend(plan.parts.iter().map(|parts| Task {
                range: range.clone(),
                parts: parts.clone(),
                rows: Vec::new(),
            }));
        }
        let mut remaining = tasks.chunks_exact_mut(plan.parts.len());
        let mut current = remaining.next();
        for (tile_row, row) in rows {
            while current
                .as_ref()
                .is_some_and(|tasks| tasks[0].range.end <= tile_row)
            {
                current = remaining.next();
            }
            let Some(tasks) = current.as_mut() else { break };
            let mut row = row;
            for task in tasks.iter_mut() {
                let lines = (task.parts.len() * group_lines).min(row.len());
                let (part, rest) = row.split_at_mut(lines);
                task.rows.push(part);
                row = rest;
            }
        }
        tasks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_belongs_to_one_task() {
        let cancel = CancelToken::new();
        for (threads, rows, ideal, groups) in
            [(2, 7, 1, 3), (3, 10, 4, 2), (8, 4, 2, 16), (1, 5, 9, 1)]
        {
            let plan = Team::new(threads, &cancel).plan(rows, ideal, groups);
            let mut lines = vec![Lanes::ZERO; rows * 2 * groups * 3];
            let pixel_rows = lines.chunks_exact_mut(groups * 3).enumerate();
            let tasks = Task::split(&plan, pixel_rows.map(|(y, row)| (y / 2, row)), 3);
            assert!(tasks.len() >= threads.min(rows * groups).min(ideal));
            for task in tasks {
                assert_eq!(task.rows.len(), task.range.len() * 2);
                for row in task.rows {
                    assert_eq!(row.len(), task.parts.len() * 3);
                    row.iter_mut().for_each(|line| line.0[0] += 1.0);
                }
            }
            assert!(lines.iter().all(|line| line.0[0] == 1.0));
        }
    }
}
