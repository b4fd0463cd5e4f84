//! Collects rows, and chooses the way from there to a model.

use crate::cancellation::{Cancellation, IsCancelled};
use crate::error::{PcaError, Result, check_counts};
use crate::fit::moments::Moments;
use crate::fit::rows::Rows;
use crate::fit::running::Running;
use crate::fit::spill::Disk;
use crate::fit::stream::{self, Plan};
use crate::fit::{covariance, gram};
use crate::model::pca::PcaModel;
use crate::options::FitOptions;
use crate::value::{Value, check_row};
use featurize_kernels::Isa;

/// Bytes of the centred block that updates the moments, within [`BLOCK_ROWS`].
const BLOCK_BYTES: usize = 2 << 20;

/// Rows of that block: the fewer, the more often the moments are read and written; the more, the less of
/// the block stays in the caches.
const BLOCK_ROWS: std::ops::RangeInclusive<usize> = 256..=1024;

/// Collects rows of `f32` or `f64` and fits a [`PcaModel`] to them.
///
/// ```
/// use datafusion_functions_pca::{FitOptions, NComponents, PcaFitter};
/// # fn main() -> datafusion_functions_pca::Result<()> {
/// let mut left = PcaFitter::<f32>::new(FitOptions::new(NComponents::Count(1)));
/// left.push(&[1.0, 2.0])?;
/// left.push(&[2.0, 4.1])?;
/// let mut right = left.new_like();
/// right.push(&[3.0, 5.9])?;
/// left.merge(right)?;
/// let model = left.fit()?;
/// assert_eq!((model.n_samples(), model.n_features(), model.n_components()), (3, 2, 1));
/// assert!(model.explained_variance_ratio()[0] > 0.99);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct PcaFitter<T: Value> {
    options: FitOptions,
    null_rows: u64,
    /// Set by the first row.
    width: Option<usize>,
    /// Rows not yet in the moments.
    rows: Rows<T>,
    moments: Option<Moments>,
    /// The centred block that updates the moments.
    scratch: Vec<f64>,
    disk: Disk,
    cancellation: Cancellation,
}

/// What a fitter holds, for the partial aggregate to carry.
pub(crate) struct Parts<T: Value> {
    pub(crate) null_rows: u64,
    pub(crate) width: usize,
    pub(crate) rows: Rows<T>,
    pub(crate) moments: Option<Moments>,
}

impl<T: Value> PcaFitter<T> {
    /// An empty fitter.
    #[must_use]
    pub fn new(options: FitOptions) -> Self {
        Self {
            options,
            null_rows: 0,
            width: None,
            rows: Rows::new(0),
            moments: None,
            scratch: vec![],
            disk: Disk::default(),
            cancellation: Cancellation::default(),
        }
    }

    /// Sets what [`Self::fit`] asks from time to time to know whether to go on. A full decomposition, which
    /// is what few columns or most of the components need, is not interrupted.
    #[must_use]
    pub fn with_cancellation(mut self, is_cancelled: IsCancelled) -> Self {
        self.set_cancellation(is_cancelled);
        self
    }

    pub(crate) fn set_cancellation(&mut self, is_cancelled: IsCancelled) {
        self.cancellation = Cancellation::new(is_cancelled);
    }

    pub(crate) fn with_disk(mut self, disk: Disk) -> Self {
        self.disk = disk;
        self
    }

    /// An empty fitter with the same options.
    #[must_use]
    pub fn new_like(&self) -> Self {
        Self::new(self.options).with_disk(self.disk.clone())
    }

    /// Rows seen that were not NULL.
    #[must_use]
    pub fn n_samples(&self) -> u64 {
        self.rows.len() as u64 + self.moments.as_ref().map_or(0, Moments::n)
    }

    /// Number that the next row has in errors: rows seen so far, NULL rows included.
    pub(crate) fn next_row(&self) -> u64 {
        self.n_samples() + self.null_rows
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn size(&self) -> usize {
        size_of::<Self>()
            + self.rows.size()
            + self.moments.as_ref().map_or(0, Moments::size)
            + self.scratch.capacity() * size_of::<f64>()
    }

    /// Bytes that [`Self::fit`] will need beside those held, at most.
    pub(crate) fn fit_size(&self) -> usize {
        let width = self.rows.width();
        let (n, held) = (self.n_samples(), self.rows.size());
        let most = usize::try_from(n).unwrap_or(usize::MAX).min(width);
        let k = self.options.n_components.at_most(most);
        // As columns, as rows, and as the value of SQL.
        let components = matrix_bytes_of(k, width).saturating_mul(3);
        if self.folds() {
            let made = self
                .moments
                .as_ref()
                .map_or_else(|| Moments::bytes(width), |_| 0);
            // The matrix, all its eigenvectors, and as much again to compute them.
            return matrix_bytes(width)
                .saturating_mul(4)
                .saturating_add(components)
                .saturating_add(made);
        }
        if self.rows.is_in_memory() && self.gram_fits() {
            return gram::bytes(self.rows.len(), width).saturating_add(components);
        }
        // The rows in memory go to disk first if there is no room for both.
        let limit = self.options.memory_limit;
        self.plan().map_or(0, |plan| {
            if held.saturating_add(plan.bytes) > limit {
                plan.bytes.saturating_sub(held)
            } else {
                plan.bytes
            }
        })
    }

    /// Counts rows that are NULL and take no part in the fit.
    pub fn push_nulls(&mut self, count: u64) {
        self.null_rows += count;
    }

    /// Adds one row.
    ///
    /// # Errors
    /// If the row is empty, differs in length from the rows before it, or holds a NaN or an infinity;
    /// if the memory allowed is not enough for rows of this length, or the disk not for all rows.
    pub fn push(&mut self, row: &[T]) -> Result<()> {
        check_row(row, self.next_row(), self.width)?;
        if self.width.is_none() {
            self.set_width(row.len());
        }
        self.rows.push(row);
        self.compact(false)
    }

    fn set_width(&mut self, width: usize) {
        self.width = Some(width);
        self.rows = Rows::new(width);
    }

    /// Adds what another fitter has collected.
    ///
    /// # Errors
    /// If the two saw rows of different lengths; if the disk is not enough for all rows.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        self.merge_parts(other.into_parts())
    }

    pub(crate) fn merge_parts(&mut self, other: Parts<T>) -> Result<()> {
        let moments = other.moments.as_ref().map_or(0, Moments::n);
        let theirs = [other.rows.len() as u64, moments, other.null_rows];
        check_counts(&[&theirs[..], &[self.n_samples(), self.null_rows]].concat())?;
        self.null_rows += other.null_rows;
        if other.rows.len() == 0 && other.moments.is_none() {
            return Ok(());
        }
        match self.width {
            None => self.set_width(other.width),
            Some(expected) if expected != other.width => {
                return Err(PcaError::PartialWidth {
                    expected,
                    found: other.width,
                });
            }
            Some(_) => {}
        }
        match (&mut self.moments, other.moments) {
            (Some(ours), Some(theirs)) => ours.merge(&theirs),
            (ours @ None, theirs) => *ours = theirs,
            (Some(_), None) => {}
        }
        self.rows.append(other.rows);
        self.compact(true)
    }

    pub(crate) fn into_parts(mut self) -> Parts<T> {
        self.take_parts()
    }

    /// Readies the fitter to be sent away: rows are either all in memory or all on disk, so that
    /// partial fits which have spilled do not meet with their remainders in memory.
    pub(crate) fn settle(&mut self) -> Result<()> {
        if self.rows.is_in_memory() {
            return Ok(());
        }
        self.rows.spill(&self.disk)
    }

    pub(crate) fn take_parts(&mut self) -> Parts<T> {
        Parts {
            null_rows: std::mem::take(&mut self.null_rows),
            width: self.width.take().unwrap_or(0),
            rows: self.rows.take(),
            moments: self.moments.take(),
        }
    }

    /// Rows that are added to the moments together.
    fn block_rows(width: usize) -> usize {
        let rows = BLOCK_BYTES / size_of::<f64>() / width.max(1);
        rows.clamp(*BLOCK_ROWS.start(), *BLOCK_ROWS.end())
    }

    /// True if moments of this width are affordable: the matrix, and its copy while it is decomposed.
    fn moments_fit(&self, width: usize) -> bool {
        matrix_bytes(width) <= self.options.memory_limit / 2
    }

    /// Moves rows into the moments once there are enough of them.
    fn compact(&mut self, threaded: bool) -> Result<()> {
        let width = self.rows.width();
        let block = Self::block_rows(width);
        let enough = match self.moments {
            Some(_) => block,
            None => block.max(width + 1),
        };
        if self.rows.len() >= enough && (self.moments.is_some() || self.moments_fit(width)) {
            self.fold(threaded)?;
        }
        if self.rows.size() > self.options.memory_limit / 2 && !self.moments_fit(width) {
            // If not even that is enough, say so before the disk is full.
            self.plan()?;
            self.rows.spill(&self.disk)?;
        }
        Ok(())
    }

    /// The plan of a fit in passes over the rows.
    fn plan(&self) -> Result<Plan> {
        let width = self.rows.width();
        let options = self.options.resolved(self.n_samples(), width);
        Plan::try_new(
            width,
            size_of::<T>(),
            options.n_components,
            options.memory_limit,
        )
    }

    /// True if the fit is one of moments.
    fn folds(&self) -> bool {
        let width = self.rows.width();
        self.moments.is_some() || (self.n_samples() > width as u64 && self.moments_fit(width))
    }

    /// True if the rows in memory and their Gram matrix fit.
    fn gram_fits(&self) -> bool {
        let gram = gram::bytes(self.rows.len(), self.rows.width());
        self.rows.size().saturating_add(gram) <= self.options.memory_limit
    }

    /// Moves all rows into the moments.
    fn fold(&mut self, threaded: bool) -> Result<()> {
        let rows = self.rows.take();
        let width = rows.width();
        let moments = self.moments.get_or_insert_with(|| Moments::new(width));
        let (scratch, cancellation) = (&mut self.scratch, &self.cancellation);
        if rows.is_in_memory() {
            let slices: Vec<&[T]> = rows.in_memory().collect();
            for block in slices.chunks(Self::block_rows(width)) {
                cancellation.check()?;
                moments.update(block, scratch, threaded);
            }
            drop(slices);
            self.rows.recycle(rows);
            return Ok(());
        }
        rows.for_each_block(Self::block_rows(width), |block| {
            let rows: Vec<&[T]> = block.chunks_exact(width).collect();
            cancellation.check()?;
            moments.update(&rows, scratch, threaded);
            Ok(())
        })
    }

    /// Fits the model. The fitter keeps what it holds, and can take more rows.
    ///
    /// # Errors
    /// If there are fewer than two rows, or more components are asked for than min(rows, columns), or
    /// than the memory allowed can hold; if it is cancelled.
    pub fn fit(&mut self) -> Result<PcaModel> {
        let _running = Running::begin();
        // On a thread of rayon's, from where the many small products need not be handed over to one.
        let options = self.options.resolved(self.n_samples(), self.rows.width());
        let model = rayon::scope(|_| self.fit_here(&options))?;
        Ok(model.asked_for(self.options.n_components))
    }

    fn fit_here(&mut self, options: &FitOptions) -> Result<PcaModel> {
        let n = self.n_samples();
        if n < 2 {
            return Err(PcaError::TooFewRows {
                rows: n,
                null_rows: self.null_rows,
            });
        }
        // The loops of a fit fall back to portable code where this is an error.
        Isa::detect().map_err(|e| PcaError::Argument(e.to_string()))?;
        if self.folds() {
            self.fold(true)?;
        }
        if let Some(moments) = &self.moments {
            return covariance::fit(moments, self.null_rows, options, &self.cancellation);
        }
        if self.rows.is_in_memory() && self.gram_fits() {
            return gram::fit(&self.rows, self.null_rows, options, &self.cancellation);
        }
        let plan = self.plan()?;
        if self.rows.size().saturating_add(plan.bytes) > self.options.memory_limit {
            self.rows.spill(&self.disk)?;
        }
        stream::fit(
            &self.rows,
            self.null_rows,
            options,
            plan,
            &self.cancellation,
        )
    }
}

/// Bytes of a square matrix of `f64`.
fn matrix_bytes(width: usize) -> usize {
    matrix_bytes_of(width, width)
}

fn matrix_bytes_of(rows: usize, columns: usize) -> usize {
    rows.saturating_mul(columns)
        .saturating_mul(size_of::<f64>())
}
