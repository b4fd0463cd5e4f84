//! Accumulates rows and fits a model to them.
//!
//! Two representations, chosen by what has been seen:
//!
//! * **rows**, while there are fewer rows than columns: kept as they are, and fitted through their
//!   n × n Gram matrix ([`crate::gram`]);
//! * **moments**, from then on: count, mean and the d × d centred second moments
//!   ([`crate::moments`]), fitted through the eigendecomposition of the covariance (or, standardised,
//!   correlation) matrix. Memory no longer depends on the number of rows.
//!
//! Either merges with either, so each partition chooses for itself. Where the moments would not fit in
//! memory there are only rows; once they take half of the memory allowed they go to disk
//! ([`crate::spill`]), and where they or their Gram matrix are too large, they are fitted in passes
//! over them ([`crate::stream`]).

use crate::eigen::{orient, self_adjoint};
use crate::error::{PcaError, Result};
use crate::gram;
use crate::krylov::{self, Wanted};
use crate::model::PcaModel;
use crate::moments::Moments;
use crate::options::FitOptions;
use crate::rows::Rows;
use crate::spill::Disk;
use crate::stream::{self, Plan};
use crate::value::{Value, first_not_finite};
use datafusion_execution::disk_manager::DiskManager;
use faer::{Mat, MatRef, Par};
use rayon::prelude::*;
use std::sync::Arc;

/// Bytes of the centred block that updates the moments.
const BLOCK_BYTES: usize = 2 << 20;

/// Residual of eigenpairs, relative to the largest eigenvalue: that of a full decomposition, so that
/// rounding, which differs with the partitioning, is not amplified.
const TOLERANCE: f64 = 1e-14;

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
    scratch: Vec<f64>,
    disk: Disk,
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
        }
    }

    /// Sets where rows go that do not fit in memory (default: the temporary folder of the system).
    #[must_use]
    pub fn with_disk_manager(self, manager: Arc<DiskManager>) -> Self {
        self.with_disk(Disk::new(manager))
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

    /// Bytes that [`Self::fit`] will need beside those held.
    pub(crate) fn fit_size(&self) -> usize {
        let width = self.rows.width();
        if self.folds() {
            // The matrix to be decomposed, and the moments if they are still to be made.
            let made = self.moments.as_ref().map_or(0, Moments::size);
            return (2 * Moments::bytes(width)).saturating_sub(made);
        }
        if self.rows.is_in_memory() && self.gram_fits() {
            return gram::bytes(self.rows.len(), width);
        }
        // The rows in memory go to disk first if there is no room for both.
        let (held, limit) = (self.rows.size(), self.options.memory_limit);
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
        let number = self.next_row();
        match self.width {
            Some(width) if width == row.len() => {}
            Some(expected) => {
                return Err(PcaError::RowWidth {
                    row: number,
                    expected,
                    found: row.len(),
                });
            }
            None if row.is_empty() => return Err(PcaError::EmptyRow { row: number }),
            None => self.set_width(row.len()),
        }
        if let Some(index) = first_not_finite(row) {
            let value = row.get(index).map_or(f64::NAN, |&v| v.into());
            return Err(PcaError::NotFinite {
                row: number,
                index,
                value,
            });
        }
        self.rows.push(row);
        self.compact(Par::Seq)
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
        self.compact(Par::rayon(0))
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
        (BLOCK_BYTES / size_of::<f64>() / width.max(1)).clamp(64, 1024)
    }

    /// True if moments of this width are affordable: the matrix, and its copy while it is decomposed.
    fn moments_fit(&self, width: usize) -> bool {
        Moments::bytes(width) <= self.options.memory_limit / 2
    }

    /// Moves rows into the moments once there are enough of them.
    fn compact(&mut self, par: Par) -> Result<()> {
        let width = self.rows.width();
        let block = Self::block_rows(width);
        let enough = match self.moments {
            Some(_) => block,
            None => block.max(width + 1),
        };
        if self.rows.len() >= enough && (self.moments.is_some() || self.moments_fit(width)) {
            self.fold(par)?;
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
        Plan::try_new(
            self.rows.width(),
            size_of::<T>(),
            self.options.n_components,
            self.options.memory_limit,
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
    fn fold(&mut self, par: Par) -> Result<()> {
        let rows = self.rows.take();
        let width = rows.width();
        let moments = self.moments.get_or_insert_with(|| Moments::new(width));
        let scratch = &mut self.scratch;
        if rows.is_in_memory() {
            let slices: Vec<&[T]> = rows.in_memory().collect();
            for block in slices.chunks(Self::block_rows(width)) {
                moments.update(block.iter().copied(), scratch, par);
            }
            drop(slices);
            self.rows.recycle(rows);
            return Ok(());
        }
        rows.for_each_block(Self::block_rows(width), |block| {
            moments.update(block.chunks_exact(width), scratch, par);
            Ok(())
        })
    }

    /// Fits the model. The fitter keeps what it holds, and can take more rows.
    ///
    /// # Errors
    /// If there are fewer than two rows, or more components are asked for than min(rows, columns), or
    /// than the memory allowed can hold.
    pub fn fit(&mut self) -> Result<PcaModel> {
        // On a thread of rayon's, from where the many small products need not be handed over to one.
        rayon::scope(|_| self.fit_here())
    }

    fn fit_here(&mut self) -> Result<PcaModel> {
        let n = self.n_samples();
        if n < 2 {
            return Err(PcaError::TooFewRows {
                rows: n,
                null_rows: self.null_rows,
            });
        }
        if self.folds() {
            self.fold(Par::rayon(0))?;
        }
        if let Some(moments) = &self.moments {
            return fit_moments(moments, self.null_rows, &self.options);
        }
        if self.rows.is_in_memory() && self.gram_fits() {
            return gram::fit(&self.rows, self.null_rows, &self.options);
        }
        let plan = self.plan()?;
        if self.rows.size().saturating_add(plan.bytes) > self.options.memory_limit {
            self.rows.spill(&self.disk)?;
        }
        stream::fit(&self.rows, self.null_rows, &self.options, plan)
    }
}

/// F M F / degrees, where M is given by its lower triangle and F is diagonal.
fn symmetric(lower: MatRef<'_, f64>, factor: &[f64], degrees: f64) -> Mat<f64> {
    let width = lower.nrows();
    let mut full = Mat::zeros(width, width);
    full.par_col_chunks_mut(64)
        .zip(factor.par_chunks(64))
        .enumerate()
        .for_each(|(chunk, (mut columns, factors))| {
            let start = chunk * 64;
            for (i, row_factor) in factor.iter().enumerate() {
                // A row of the chunk: left of the diagonal it is a row of the triangle, right of it a
                // column.
                for (j, column_factor) in factors.iter().enumerate() {
                    let (row, column) = (i.max(start + j), i.min(start + j));
                    columns[(i, j)] = lower[(row, column)] * row_factor * column_factor / degrees;
                }
            }
        });
    full
}

/// Eigendecomposition of the covariance (or correlation) matrix, n − 1 in the denominator.
fn fit_moments(moments: &Moments, null_rows: u64, options: &FitOptions) -> Result<PcaModel> {
    let (n, width) = (moments.n(), moments.width());
    let mean = moments.mean();
    let degrees = n as f64 - 1.0;
    let m2 = moments.m2();
    let squares = m2.diagonal().column_vector();
    if let Some(column) = squares.iter().position(|s| !s.is_finite()) {
        return Err(PcaError::Overflow { column });
    }
    let scale: Vec<f64> = squares
        .iter()
        .zip(&mean)
        .map(|(&s, &m)| options.column_scale(n, m, s))
        .collect();
    let factor: Vec<f64> = scale
        .iter()
        .map(|s| if *s == 0.0 { 0.0 } else { 1.0 / s })
        .collect();
    let covariance = symmetric(m2, &factor, degrees);
    let total = covariance.diagonal().column_vector().iter().sum::<f64>();
    let wanted = Wanted::new(options.n_components, total);
    let leading = krylov::leading(covariance.as_ref(), wanted, TOLERANCE)?;
    let eigen = match leading {
        Some(eigen) => eigen,
        None => self_adjoint(covariance.as_ref())?,
    };
    drop(covariance);
    let available = usize::try_from(n).unwrap_or(usize::MAX).min(width);
    let k = options
        .n_components
        .select(&eigen.values, total, available, n, width)?;
    let mut components = Vec::with_capacity(k * width);
    for column in eigen.vectors.subcols(0, k).col_iter() {
        components.extend(column.iter());
    }
    orient(&mut components, width);
    let mut variances = eigen.values;
    variances.truncate(k);
    PcaModel::try_new(mean, scale, components, variances, total, n)
        .map(|m| m.with_null_rows(null_rows).with_options(options))
}
