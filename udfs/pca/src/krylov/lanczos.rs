//! The block Lanczos method itself: grow, look, start anew.

use crate::error::Result;
use crate::krylov::checks::Checks;
use crate::krylov::complement;
use crate::krylov::operator::{Operator, Space, Wanted};
use crate::krylov::orthogonal::{arbitrary, next_block, orthogonalise};
use crate::krylov::restart::{compress, kept};
use crate::linalg::eigen::{Eigen, self_adjoint};
use crate::linalg::products::product;
use faer::{Mat, MatRef};

/// Smallest wanted eigenvalue, relative to the largest, up to which the method, whose errors are relative
/// to the largest, is as good as a full decomposition: with residuals of 1e-14 ten digits are left.
const GRADED: f64 = 1e-4;

/// Most times that missed eigenpairs may be found: each time there is at least one more, and a full
/// decomposition is cheaper than so many looks.
const LOOKS: usize = 100;

/// The wanted leading eigenpairs of a matrix that is given by its products, with residuals of at most
/// `tolerance` times the largest eigenvalue; `None` if the space has grown as far as it may.
///
/// A space that is full is replaced by its leading Ritz vectors, about half of it, and grows again from
/// there (K. Wu and H. Simon, "Thick-restart Lanczos method for large symmetric eigenvalue problems",
/// SIAM Journal on Matrix Analysis and Applications 22, 2000): memory is bounded, products are not
/// wasted.
pub(crate) fn leading_of(
    operator: &mut impl Operator,
    wanted: Wanted,
    tolerance: f64,
    space: Space,
) -> Result<Option<Eigen>> {
    let mut krylov = Krylov::new(operator, wanted, tolerance, space);
    while krylov.has_room() && krylov.block.ncols() > 0 {
        krylov.grow()?;
        if !krylov.checks.due(krylov.used) && !krylov.is_last() {
            continue;
        }
        let ritz = krylov.ritz()?;
        match krylov.look(&ritz)? {
            Seen::All(eigen) => return Ok(Some(eigen)),
            Seen::TooLittle => return Ok(None),
            Seen::Growth => {}
            Seen::Start(keep) => krylov.start_anew(&ritz, keep),
        }
    }
    Ok(None)
}

/// A Krylov space and what is known of the matrix in it.
struct Krylov<'a, O> {
    operator: &'a mut O,
    wanted: Wanted,
    tolerance: f64,
    space: Space,
    /// Rows of the matrix.
    n: usize,
    /// Dimension that the space must not exceed.
    largest: usize,
    /// V, orthonormal columns one after the other; its memory is touched only as the space grows.
    basis: Vec<f64>,
    /// Columns of V.
    used: usize,
    /// V′AV.
    projected: Mat<f64>,
    /// Orthonormal columns that come next.
    block: Mat<f64>,
    /// What A times the last block of V is beside V.
    outside: Mat<f64>,
    /// Size of the matrix, as far as it has been seen.
    size: f64,
    checks: Checks,
    restarts: usize,
    /// How often missed eigenpairs have been found.
    looks: usize,
}

/// Eigenpairs of V′AV, and the norms ‖A u − λ u‖ of what they stand for.
struct Ritz {
    eigen: Eigen,
    residuals: Vec<f64>,
    /// Residual that is asked for.
    limit: f64,
}

impl Ritz {
    /// How many of the leading pairs are eigenpairs of A.
    fn converged(&self) -> usize {
        let small = self.residuals.iter().take_while(|r| **r <= self.limit);
        small.count()
    }

    /// Logarithm of the ratio of the worst residual of the leading pairs to what is asked.
    fn behind(&self, count: usize) -> f64 {
        let worst = self
            .residuals
            .iter()
            .take(count)
            .fold(0.0, |w: f64, r| w.max(*r));
        (worst / self.limit).ln()
    }
}

/// What a look at the residuals tells.
enum Seen {
    /// All that is wanted.
    All(Eigen),
    /// That the space cannot grow to hold it, or that a full decomposition is likely to be cheaper.
    TooLittle,
    /// That it has to grow.
    Growth,
    /// That it has to start anew from so many of its Ritz vectors.
    Start(usize),
}

impl<'a, O: Operator> Krylov<'a, O> {
    fn new(operator: &'a mut O, wanted: Wanted, tolerance: f64, space: Space) -> Self {
        let n = operator.dimension();
        let largest = space.largest.min(n);
        let block = arbitrary(n, space.block.min(largest), 0);
        Self {
            operator,
            wanted,
            tolerance,
            space,
            n,
            largest,
            basis: Vec::with_capacity(n * largest),
            used: 0,
            projected: Mat::zeros(largest, largest),
            block: block.qr().compute_thin_Q(),
            outside: Mat::new(),
            size: 0.0,
            checks: Checks::new(wanted, tolerance, space),
            restarts: space.restarts,
            looks: 0,
        }
    }

    fn basis(&self) -> MatRef<'_, f64> {
        MatRef::from_column_major_slice(&self.basis, self.n, self.used)
    }

    /// True if the next block fits.
    fn has_room(&self) -> bool {
        self.used + self.block.ncols() <= self.largest
    }

    /// True if the space cannot grow any more.
    fn is_last(&self) -> bool {
        self.block.ncols() == 0 || !self.has_room()
    }

    /// True if the space is everything.
    fn is_whole(&self) -> bool {
        self.used == self.n
    }

    /// Adds the block to the space, and makes the next one of its product.
    fn grow(&mut self) -> Result<()> {
        let added = self.block.ncols();
        let columns = self.block.col_iter();
        columns.for_each(|column| self.basis.extend(column.iter()));
        self.used += added;
        let mut next = self.operator.apply(self.block.as_ref())?;
        let (used, before) = (self.used, self.used - added);
        let basis = MatRef::from_column_major_slice(&self.basis, self.n, used);
        let coefficients = orthogonalise(&mut next, basis, 2 * self.space.block);
        // V′AV, column block by column block.
        let mut projected = self.projected.as_mut();
        let column = projected.as_mut().submatrix_mut(0, before, used, added);
        { column }.copy_from(&coefficients);
        let row = projected.submatrix_mut(before, 0, added, used);
        { row }.copy_from(coefficients.transpose());
        self.size = coefficients.norm_max().max(self.size);
        let columns = self.space.block.min(self.n - used);
        self.block = next_block(&next, basis, self.size, columns);
        self.outside = next;
        Ok(())
    }

    fn ritz(&self) -> Result<Ritz> {
        let eigen = self_adjoint(self.projected.submatrix(0, 0, self.used, self.used))?;
        let residuals = if self.is_whole() {
            // Nothing is left over.
            vec![0.0; self.n]
        } else {
            let added = self.outside.ncols();
            let ends = eigen.vectors.subrows(self.used - added, added);
            let residuals = product(self.outside.as_ref(), ends);
            residuals.col_iter().map(|r| r.norm_l2()).collect()
        };
        Ok(Ritz {
            limit: self.tolerance * eigen.values.first().copied().unwrap_or(0.0),
            residuals,
            eigen,
        })
    }

    /// Decides what comes next.
    fn look(&mut self, ritz: &Ritz) -> Result<Seen> {
        let reached = self.wanted.enough(&ritz.eigen.values);
        let converged = ritz.converged();
        let held = self.wanted.enough(ritz.eigen.values.split_at(converged).0);
        // Also if a space that is full does not hold enough: of what it holds, much may be smaller
        // than what it has missed.
        let full = self.is_last() && reached.is_none();
        let full = full.then_some(converged.min(self.largest / 2));
        if let Some(count) = held.or(full).filter(|count| *count > 0)
            && let Some(seen) = self.verify(ritz, count, held.is_some())?
        {
            return Ok(seen);
        }
        let behind = reached.map(|count| ritz.behind(count));
        self.checks.plan(self.used, behind);
        if !self.space.eager && self.used > self.n / 4 && reached.is_none() {
            return Ok(Seen::TooLittle);
        }
        if !self.is_last() {
            return Ok(Seen::Growth);
        }
        let Some(restarts) = self.restarts.checked_sub(1) else {
            return Ok(Seen::TooLittle);
        };
        self.restarts = restarts;
        let keep = kept(
            reached,
            &ritz.eigen.values,
            self.largest,
            self.block.ncols(),
        );
        Ok(keep.map_or(Seen::TooLittle, Seen::Start))
    }

    /// Looks whether `count` pairs, which have converged, are the leading ones; `None` if they are, but not
    /// `all` that are wanted.
    fn verify(&mut self, ritz: &Ritz, count: usize, all: bool) -> Result<Option<Seen>> {
        let (values, others) = ritz.eigen.values.split_at(count);
        let greatest = values.first().copied().unwrap_or(0.0);
        let smallest = values.last().copied().unwrap_or(0.0);
        if !self.space.eager && smallest < greatest * GRADED {
            return Ok(Some(Seen::TooLittle));
        }
        let vectors = product(self.basis(), ritz.eigen.vectors.subcols(0, count));
        // Whatever is not among the pairs held is as large as the space has it, or is not in the space.
        let least = if all {
            smallest
        } else {
            others.first().copied().unwrap_or(0.0)
        };
        if let Some(missed) = self.missed(vectors.as_ref(), (greatest, least))? {
            self.looks += 1;
            if self.looks > LOOKS || count + missed.ncols() > self.largest {
                return Ok(Some(Seen::TooLittle));
            }
            self.block = missed;
            return Ok(Some(Seen::Start(count)));
        }
        let values = values.to_vec();
        Ok(all.then_some(Seen::All(Eigen { values, vectors })))
    }

    fn missed(&mut self, found: MatRef<'_, f64>, ends: (f64, f64)) -> Result<Option<Mat<f64>>> {
        if self.is_whole() {
            return Ok(None);
        }
        // Products are dear where the space is eager; elsewhere the pairs are held to a finer tolerance.
        let steps = if self.space.eager { 2 } else { 6 };
        let seed = self.used + self.looks;
        complement::missed(self.operator, found, ends, steps, seed)
    }

    /// Replaces the space by its leading Ritz vectors.
    fn start_anew(&mut self, ritz: &Ritz, keep: usize) {
        self.checks.start_anew(keep);
        compress(&mut self.basis, self.n, ritz.eigen.vectors.subcols(0, keep));
        self.used = keep;
        self.projected.fill(0.0);
        for (i, value) in ritz.eigen.values.iter().enumerate().take(keep) {
            self.projected[(i, i)] = *value;
        }
    }
}
