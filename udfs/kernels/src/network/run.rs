//! From images to values: which images share a step, and who computes them.

use std::ops::Range;
use std::time::Duration;

use rayon::prelude::*;

use super::prepared::{Network, Workspace};
use super::step::BATCH;
use crate::elementwise::Pooling;
use crate::error::{Result, check_len};
use crate::parallel::Team;
use crate::pool::{CancelToken, ComputePool};

/// Images per thread in a micro-batch where each thread computes its own: some tens of milliseconds
/// of work between two callers.
const IMAGES_PER_THREAD: usize = 8;

/// Time and work of one step, from [`Network::profile`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StepReport {
    /// Such as `F(4) 3×3 64→128 to 112×112`.
    pub name: String,
    /// Floating-point operations of the definition, for all images.
    pub operations: usize,
    /// Time for all images, on the caller's clock.
    pub time: Duration,
}

impl Network {
    /// Computes `n` images into the values that `pooling` makes of each.
    ///
    /// # Errors
    /// [`crate::KernelError::Length`] if a slice has the wrong number of elements;
    /// [`crate::KernelError::Shape`] if the network has nothing for `pooling`;
    /// [`crate::KernelError::Cancelled`], within milliseconds, once `cancel` is triggered. `out` then
    /// holds no meaningful values.
    pub fn run(
        &self,
        images: &[f32],
        n: usize,
        pooling: Pooling,
        out: &mut [f32],
        pool: &ComputePool,
        cancel: &CancelToken,
    ) -> Result<()> {
        let (image_len, out_len) = self.check(images, n, pooling, out)?;
        let batch = if self.alone {
            pool.threads() * IMAGES_PER_THREAD
        } else {
            BATCH
        };
        let images = images.chunks(batch * image_len);
        for (images, out) in images.zip(out.chunks_mut(batch * out_len)) {
            pool.run(cancel, || {
                let team = Team::new(pool.threads(), cancel);
                self.micro_batch(&team, images, pooling, out)
            })?;
        }
        Ok(())
    }

    /// Computes `n` images with all threads together, and reports the time of each step, as the
    /// difference of two readings of `clock` on a thread of the pool.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn profile(
        &self,
        images: &[f32],
        n: usize,
        pooling: Pooling,
        out: &mut [f32],
        pool: &ComputePool,
        clock: impl Fn() -> Duration + Send + Sync,
    ) -> Result<Vec<StepReport>> {
        let (image_len, out_len) = self.check(images, n, pooling, out)?;
        let mut times = vec![Duration::ZERO; self.steps.len()];
        let batch = if self.alone { 1 } else { BATCH };
        let images = images.chunks(batch * image_len);
        let cancel = CancelToken::new();
        for (images, out) in images.zip(out.chunks_mut(batch * out_len)) {
            let mut last = clock();
            let mut observe = |step: usize| {
                let now = clock();
                times[step] += now - last;
                last = now;
            };
            pool.run(&cancel, || {
                let team = Team::new(pool.threads(), &cancel);
                self.together(&team, images, pooling, out, &mut observe)
            })?;
        }
        let reports = self.steps.iter().zip(times).map(|(step, time)| StepReport {
            name: step.name.clone(),
            operations: n * step.operations,
            time,
        });
        Ok(reports.collect())
    }

    /// Elements of an image, and of its values.
    fn check(
        &self,
        images: &[f32],
        n: usize,
        pooling: Pooling,
        out: &[f32],
    ) -> Result<(usize, usize)> {
        let (height, width, channels) = self.input;
        let (image_len, (_, out_len)) = (height * width * channels, self.read(pooling)?);
        check_len("images", n * image_len, images.len())?;
        check_len("out", n * out_len, out.len())?;
        Ok((image_len, out_len))
    }

    fn micro_batch(
        &self,
        team: &Team<'_>,
        images: &[f32],
        pooling: Pooling,
        out: &mut [f32],
    ) -> Result<()> {
        let image_len = self.input.0 * self.input.1 * self.input.2;
        let (_, out_len) = self.read(pooling)?;
        let threads = team.threads();
        if !self.alone {
            return self.together(team, images, pooling, out, &mut |_| {});
        }
        // Images that would leave threads idle if each had its own are computed by all together.
        let count = images.len() / image_len;
        let left = if count % threads * 2 <= threads {
            count % threads
        } else {
            0
        };
        let (own, rest) = images.split_at((count - left) * image_len);
        let (own_out, rest_out) = out.split_at_mut((count - left) * out_len);
        let solo = team.solo();
        own.par_chunks_exact(image_len)
            .zip(own_out.par_chunks_exact_mut(out_len))
            .with_max_len(1)
            .try_for_each(|(image, out)| self.together(&solo, image, pooling, out, &mut |_| {}))?;
        let rest = rest.chunks_exact(image_len);
        for (image, out) in rest.zip(rest_out.chunks_exact_mut(out_len)) {
            self.together(team, image, pooling, out, &mut |_| {})?;
        }
        Ok(())
    }

    /// Computes the images of a batch, or one, with the threads of the team, which meet after each
    /// step.
    fn together(
        &self,
        team: &Team<'_>,
        images: &[f32],
        pooling: Pooling,
        out: &mut [f32],
        observe: &mut (dyn FnMut(usize) + Send),
    ) -> Result<()> {
        let image_len = self.input.0 * self.input.1 * self.input.2;
        let count = images.len() / image_len;
        let mut workspace = self.workspace();
        let mut run = |steps: Range<usize>, batch: Range<usize>, workspace: &mut Workspace| {
            let pixels = &images[batch.start * image_len..batch.end * image_len];
            for (index, step) in self
                .steps
                .iter()
                .enumerate()
                .take(steps.end)
                .skip(steps.start)
            {
                step.run(team, &self.buffers, workspace, pixels, &batch);
                team.check()?;
                observe(index);
            }
            Ok(())
        };
        let (read, out_len) = self.read(pooling)?;
        let output = &self.buffers[read.buffer];
        let mut rows = out.chunks_exact_mut(out_len);
        let mut finish = |batch: Range<usize>, workspace: &Workspace| {
            let lines = &workspace[output.slot][output.lines(&batch)];
            for (lines, out) in lines.chunks_exact(output.map.image_lines()).zip(&mut rows) {
                pooling.finish(&output.map, read.skip, lines, out);
            }
        };
        let result = (|| {
            for image in 0..count {
                run(0..self.single, image..image + 1, &mut workspace)?;
                if self.single == self.steps.len() {
                    finish(image..image + 1, &workspace);
                }
            }
            if self.single < self.steps.len() {
                run(self.single..self.steps.len(), 0..count, &mut workspace)?;
                finish(0..count, &workspace);
            }
            Ok(())
        })();
        self.give_back(workspace);
        result
    }
}
