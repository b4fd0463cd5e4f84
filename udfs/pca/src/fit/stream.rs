//! PCA of rows that are too many for their n × n Gram matrix and too wide for d × d moments, in a few
//! passes over rows that may lie on disk.
//!
//! The block Lanczos method ([`crate::krylov`]) asks only for products ZᵀZ Q with a block Q of
//! columns, Z being the centred and scaled rows; one pass over the rows gives one product, row block by
//! row block: ZᵀZ Q = Σ Zᵦᵀ (Zᵦ Q). It ends when the residuals of the wanted components are below a
//! tolerance, so the result is verified. This is the use that N. Halko, P.-G. Martinsson, Y. Shkolnisky
//! and M. Tygert make of Krylov spaces in "An algorithm for the principal component analysis of large
//! data sets" (SIAM Journal on Scientific Computing 33, 2011), with the number of passes left to the
//! residuals instead of fixed.
//!
//! Memory: the Krylov space, d values for each of its dimensions, and blocks of rows; none of it
//! depends on the number of rows.

use crate::cancellation::Cancellation;
use crate::error::{PcaError, Result};
use crate::fit::rows::Rows;
use crate::fit::standard::{STRIP, Standard, Statistics};
use crate::krylov::lanczos::leading_of;
use crate::krylov::operator::{Cancellable, Operator, Space, Wanted};
use crate::linalg::elementwise;
use crate::model::pca::PcaModel;
use crate::options::{FitOptions, NComponents};
use crate::value::Value;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Columns of Q, the first for which there is memory. A pass over rows on disk is dear, and wider
/// blocks need fewer.
const BLOCKS: [usize; 3] = [64, 32, 16];

/// Most rows of a block.
const BLOCK_ROWS: usize = 256;

/// Residual of the components, relative to the largest eigenvalue.
const TOLERANCE: f64 = 1e-12;

/// How often a Krylov space that fills its memory may start anew before the components are said not to
/// converge.
const RESTARTS: usize = 100;

/// How a fit shares out its memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Plan {
    block: usize,
    block_rows: usize,
    /// Largest dimension of the Krylov space.
    largest: usize,
    /// Bytes of all this.
    pub(crate) bytes: usize,
}

impl Plan {
    /// A plan for rows of `width` values of `value_bytes` within `limit` bytes.
    pub(crate) fn try_new(
        width: usize,
        value_bytes: usize,
        n_components: NComponents,
        limit: usize,
    ) -> Result<Self> {
        // Of several blocks the space converges in a few passes; two are the least that it can do with.
        let plan = |block, blocks| {
            Self::with_block(width, value_bytes, n_components, limit, block, blocks)
        };
        let [first, others @ ..] = BLOCKS;
        let mut found = plan(first, 6);
        let narrower = others.map(|block| (block, 6)).into_iter();
        let fewer = [4, 2]
            .into_iter()
            .flat_map(|blocks| BLOCKS.map(|block| (block, blocks)));
        for (block, blocks) in narrower.chain(fewer) {
            found = found.or_else(|_| plan(block, blocks));
        }
        found
    }

    fn with_block(
        width: usize,
        value_bytes: usize,
        n_components: NComponents,
        limit: usize,
        block: usize,
        blocks: usize,
    ) -> Result<Self> {
        let wanted = match n_components {
            NComponents::Ratio(_) => 1,
            counted => counted.at_most(width),
        };
        let block = block.min(width);
        // For each row of a block: as it is, standardised, and times Q for each strip.
        let row = width
            .saturating_mul(value_bytes + size_of::<f64>())
            .saturating_add(width.div_ceil(STRIP) * block * size_of::<f64>());
        let block_rows = (limit / 8 / row).clamp(1, BLOCK_ROWS);
        // Q, its product, and copies of them while they are orthogonalised.
        let fixed = block_rows * row + 6 * block * width * size_of::<f64>();
        // For each dimension: its vector; a component, twice; its row and column of the projected
        // matrix with its decomposition.
        let bytes = |largest: usize| {
            let components = match n_components {
                NComponents::Ratio(_) => largest,
                _ => wanted,
            };
            let vectors = largest.saturating_add(components.saturating_mul(3));
            let projected = largest.saturating_mul(largest).saturating_mul(5);
            vectors
                .saturating_mul(width)
                .saturating_add(projected)
                .saturating_mul(size_of::<f64>())
                .saturating_add(fixed)
        };
        let least = (wanted + blocks * block).min(width);
        if bytes(least) > limit {
            return Err(PcaError::Memory {
                needed: bytes(least),
                limit,
                columns: width,
            });
        }
        let fits = largest_that(least, width, |largest| bytes(largest) <= limit);
        // No space needs to be that much larger than what is wanted from it.
        let ample = match n_components {
            NComponents::Ratio(_) => fits,
            _ => (8 * wanted + 16 * block).min(fits),
        };
        Ok(Self {
            block,
            block_rows,
            largest: ample,
            bytes: bytes(ample),
        })
    }
}

/// The largest number up to `most` for which `fits` is true, as it is for `least`; by bisection.
fn largest_that(least: usize, most: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut good, mut bad) = (least, most + 1);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if fits(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    good
}

/// Fits a model to rows, in memory or on disk. There are at least two.
pub(crate) fn fit<T: Value>(
    rows: &Rows<T>,
    null_rows: u64,
    options: &FitOptions,
    plan: Plan,
    cancellation: &Cancellation,
) -> Result<PcaModel> {
    let data = Standardised::new(rows, options, plan.block_rows)?;
    // An impossible number of components is an error before the work, not after it.
    data.standard.select(options.n_components, &[])?;
    let space = Space {
        block: plan.block,
        largest: plan.largest,
        restarts: RESTARTS,
        eager: true,
    };
    let wanted = Wanted::new(options.n_components, data.standard.total);
    let mut operator = Cancellable {
        operator: data,
        cancellation,
    };
    let found = leading_of(&mut operator, wanted, TOLERANCE, space)?;
    let Some(eigen) = found else {
        return Err(PcaError::Space {
            dimension: plan.largest,
            limit: options.memory_limit,
        });
    };
    let standard = operator.operator.standard;
    standard.model(&eigen.values, eigen.vectors.as_ref(), null_rows, options)
}

/// The rows and how they are standardised; as an operator, Z′Z.
struct Standardised<'a, T: Value> {
    rows: &'a Rows<T>,
    block_rows: usize,
    standard: Standard,
    /// Strips of the standardised block, one after the other.
    z: Vec<f64>,
    /// Products of the strips with Q, one after the other.
    products: Vec<f64>,
}

impl<'a, T: Value> Standardised<'a, T> {
    /// One pass over the rows.
    fn new(rows: &'a Rows<T>, options: &FitOptions, block_rows: usize) -> Result<Self> {
        let mut statistics = Statistics::default();
        rows.for_each_block(block_rows, |block| {
            let rows: Vec<&[T]> = block.chunks_exact(rows.width()).collect();
            statistics.add(&rows, true);
            Ok(())
        })?;
        Ok(Self {
            rows,
            block_rows,
            standard: statistics.standard(options)?,
            z: vec![],
            products: vec![],
        })
    }
}

impl<T: Value> Operator for Standardised<'_, T> {
    fn dimension(&self) -> usize {
        self.standard.width()
    }

    fn apply(&mut self, q: MatRef<'_, f64>) -> Result<Mat<f64>> {
        let width = self.standard.width();
        let mut sum = vec![0.0; width * q.ncols()];
        let (standard, z, products) = (&self.standard, &mut self.z, &mut self.products);
        self.rows.for_each_block(self.block_rows, |block| {
            let product = forth(standard, block, q, z, products);
            back(z, product, &mut sum);
            Ok(())
        })?;
        Ok(MatRef::from_row_major_slice(&sum, width, q.ncols()).to_owned())
    }
}

/// Zᵦ Q, strip by strip of the columns, which are left in `z`.
fn forth<'a, T: Value>(
    standard: &Standard,
    block: &[T],
    q: MatRef<'_, f64>,
    z: &mut Vec<f64>,
    products: &'a mut Vec<f64>,
) -> MatRef<'a, f64> {
    let (width, k) = (standard.width(), q.ncols());
    let n = block.len() / width;
    z.resize(n * width, 0.0);
    products.resize(width.div_ceil(STRIP) * n * k, 0.0);
    let (shifts, scales) = (&standard.shift, &standard.scale);
    z.par_chunks_mut(n * STRIP)
        .zip(products.par_chunks_mut(n * k))
        .zip(
            standard
                .mean
                .par_chunks(STRIP)
                .zip(scales.par_chunks(STRIP)),
        )
        .zip(shifts.par_chunks(STRIP))
        .enumerate()
        .for_each(|(strip, (((z, product), (mean, scale)), shift))| {
            let (start, len) = (strip * STRIP, mean.len());
            for (z, row) in z.chunks_exact_mut(len).zip(block.chunks_exact(width)) {
                elementwise::standardise_shifted(z, &row[start..], shift, mean, scale);
            }
            matmul(
                MatMut::from_column_major_slice_mut(product, n, k),
                Accum::Replace,
                MatRef::from_row_major_slice(z, n, len),
                q.subrows(start, len),
                1.0,
                Par::Seq,
            );
        });
    let (first, others) = products.split_at_mut(n * k);
    for product in others.chunks_exact(n * k) {
        first.iter_mut().zip(product).for_each(|(sum, p)| *sum += p);
    }
    MatRef::from_column_major_slice(first, n, k)
}

/// Adds Zᵦ′ times `product` to `sum`, row-major.
fn back(z: &[f64], product: MatRef<'_, f64>, sum: &mut [f64]) {
    let (n, k) = (product.nrows(), product.ncols());
    sum.par_chunks_mut(STRIP * k)
        .zip(z.par_chunks(n * STRIP))
        .for_each(|(sum, z)| {
            let len = z.len() / n;
            matmul(
                MatMut::from_row_major_slice_mut(sum, len, k),
                Accum::Add,
                MatRef::from_row_major_slice(z, n, len).transpose(),
                product,
                1.0,
                Par::Seq,
            );
        });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::gram;
    use crate::fit::spill::Disk;

    /// Rows of decaying variances along 20 directions, and of `noise` along all others; in memory, and
    /// on disk but for the last few.
    fn rows(n: usize, d: usize, noise: f64) -> (Rows<f32>, Rows<f32>) {
        let (mut memory, mut disk) = (Rows::new(d), Rows::new(d));
        for i in 0..n {
            let row: Vec<f32> = (0..d)
                .map(|j| {
                    let wave = |c: usize| {
                        let (a, b) = ((i * (c + 1)) as f64 * 0.37, (j * (c + 2)) as f64 * 0.11);
                        a.sin() * b.cos() * 0.7_f64.powi(c as i32)
                    };
                    let rest = noise * ((i * j) as f64 * 1.7 + (i * i) as f64 * 0.3).sin();
                    ((0..20).map(wave).sum::<f64>() + rest + 3.0) as f32
                })
                .collect();
            memory.push(&row);
            disk.push(&row);
            if i % 100 == 99 {
                disk.spill(&Disk::default()).unwrap();
            }
        }
        (memory, disk)
    }

    #[test]
    fn streaming_agrees_with_the_gram_matrix() {
        let cases = [(230, 700, 8, 0.1), (1230, 600, 5, 0.0), (40, 50, 39, 0.1)];
        for (n, d, k, noise) in cases {
            let (memory, disk) = rows(n, d, noise);
            for scale in [true, false] {
                let options = FitOptions::new(NComponents::Count(k)).with_scale(scale);
                let expected = gram::fit(&memory, 0, &options, &Cancellation::default()).unwrap();
                let plan = Plan::try_new(d, 4, options.n_components, 1 << 30).unwrap();
                let model = fit(&disk, 0, &options, plan, &Cancellation::default()).unwrap();
                let unit = expected.explained_variance()[0];
                for (f, e) in model
                    .explained_variance()
                    .iter()
                    .zip(expected.explained_variance())
                {
                    assert!((f - e).abs() < 1e-12 * unit, "{n} × {d}: {f} {e}");
                }
                let near = model.components().iter().zip(expected.components());
                let worst = near.fold(0.0_f64, |w, (f, e)| w.max((f - e).abs()));
                assert!(k == 39 || worst < 1e-9, "{n} × {d}: {worst}");
            }
        }
    }

    #[test]
    fn few_components_do_not_make_a_space_of_two_blocks() {
        // In which restarts hardly make progress.
        for k in [1, 2, 10] {
            let plan = Plan::try_new(12_500, 8, NComponents::Count(k), 60_000_000).unwrap();
            assert!(plan.largest >= k + 6 * plan.block, "{k}: {plan:?}");
            assert!(plan.bytes <= 60_000_000);
        }
        // Fewer, where nothing else fits.
        let plan = Plan::try_new(12_500, 8, NComponents::Count(10), 20_000_000).unwrap();
        assert!(plan.block == 16 && plan.largest >= 42, "{plan:?}");
    }

    #[test]
    fn a_plan_fits_its_limit_or_says_what_it_needs() {
        let count = NComponents::Count(100);
        let plan = Plan::try_new(25_088, 4, count, 1 << 30).unwrap();
        assert!(plan.bytes <= 1 << 30 && plan.largest >= 300, "{plan:?}");
        let small = Plan::try_new(25_088, 4, count, 256 << 20).unwrap();
        assert!(
            small.bytes <= 256 << 20 && small.largest >= 228,
            "{small:?}"
        );
        let error = Plan::try_new(25_088, 4, count, 1 << 20).unwrap_err();
        assert!(matches!(error, PcaError::Memory { needed, .. } if needed > 60 << 20));
        let all = Plan::try_new(40, 8, NComponents::Ratio(0.5), 1 << 20).unwrap();
        assert_eq!((all.block, all.largest), (40, 40));
        let narrow = Plan::try_new(1500, 4, NComponents::Count(5), 4 << 20).unwrap();
        assert!(narrow.block < 64 && narrow.bytes <= 4 << 20, "{narrow:?}");
    }
}
