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

use crate::cancellation::{Cancellable, Cancellation};
use crate::eigen::orient;
use crate::elementwise;
use crate::error::{PcaError, Result, check_total};
use crate::krylov::{self, Operator, Space, Wanted};
use crate::model::PcaModel;
use crate::options::{FitOptions, NComponents};
use crate::rows::Rows;
use crate::value::Value;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Columns of a strip, the unit of parallel work.
const STRIP: usize = 512;

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
            NComponents::Count(k) => k.min(width),
            NComponents::Ratio(_) => 1,
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
                NComponents::Count(_) => wanted,
                NComponents::Ratio(_) => largest,
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
        // The largest dimension that fits, by bisection.
        let (mut fits, mut too_large) = (least, width + 1);
        while too_large - fits > 1 {
            let middle = fits + (too_large - fits) / 2;
            if bytes(middle) <= limit {
                fits = middle;
            } else {
                too_large = middle;
            }
        }
        // No space needs to be that much larger than what is wanted from it.
        let ample = match n_components {
            NComponents::Count(_) => (8 * wanted + 16 * block).min(fits),
            NComponents::Ratio(_) => fits,
        };
        Ok(Self {
            block,
            block_rows,
            largest: ample,
            bytes: bytes(ample),
        })
    }
}

/// Fits a model to rows, in memory or on disk. There are at least two.
pub(crate) fn fit<T: Value>(
    rows: &Rows<T>,
    null_rows: u64,
    options: &FitOptions,
    plan: Plan,
    cancellation: &Cancellation,
) -> Result<PcaModel> {
    let (n, width) = (rows.len(), rows.width());
    let available = n.min(width);
    let degrees = n as f64 - 1.0;
    let data = Standardised::new(rows, options, plan.block_rows)?;
    let total = data.total / degrees;
    // An impossible number of components is an error before the work, not after it.
    let select = |variances: &[f64]| {
        options
            .n_components
            .select(variances, total, available, n as u64, width)
    };
    select(&[])?;
    let space = Space {
        block: plan.block,
        largest: plan.largest,
        restarts: RESTARTS,
        eager: true,
    };
    let wanted = Wanted::new(options.n_components, data.total);
    let mut operator = Cancellable {
        operator: data,
        cancellation,
    };
    let found = krylov::leading_of(&mut operator, wanted, TOLERANCE, space)?;
    let data = operator.operator;
    let Some(eigen) = found else {
        return Err(PcaError::Space {
            dimension: plan.largest,
            limit: options.memory_limit,
        });
    };
    let variances: Vec<f64> = eigen.values.iter().map(|v| v / degrees).collect();
    let k = select(&variances)?.min(variances.len());
    let mut components = Vec::with_capacity(k * width);
    for column in eigen.vectors.subcols(0, k).col_iter() {
        components.extend(column.iter());
    }
    drop(eigen);
    orient(&mut components, width);
    let variances = variances.into_iter().take(k).collect();
    let means = data.shift.iter().zip(&data.mean);
    let mean = means.map(|(shift, mean)| shift + mean).collect();
    PcaModel::try_new(mean, data.scale, components, variances, total, n as u64)
        .map(|m| m.with_null_rows(null_rows).with_options(options))
}

/// The rows, with the statistics of their columns; as an operator, ZᵀZ.
struct Standardised<'a, T: Value> {
    rows: &'a Rows<T>,
    block_rows: usize,
    /// The first row, as in [`crate::gram`].
    shift: Vec<f64>,
    /// Relative to the shift.
    mean: Vec<f64>,
    scale: Vec<f64>,
    /// Sum of the squares of Z, which is the sum of all eigenvalues.
    total: f64,
    /// Strips of the standardised block, one after the other.
    z: Vec<f64>,
    /// Products of the strips with Q, one after the other.
    products: Vec<f64>,
}

impl<'a, T: Value> Standardised<'a, T> {
    /// One pass over the rows: means and squared deviations of each block, merged as
    /// [`crate::moments`] does.
    fn new(rows: &'a Rows<T>, options: &FitOptions, block_rows: usize) -> Result<Self> {
        let width = rows.width();
        let (mut mean, mut squares) = (vec![0.0_f64; width], vec![0.0_f64; width]);
        let mut seen = 0_usize;
        let mut shift = vec![];
        rows.for_each_block(block_rows, |block| {
            if shift.is_empty() {
                shift.extend(block.iter().take(width).map(|&x| -> f64 { x.into() }));
            }
            let count = block.len() / width;
            let merged = (seen + count) as f64;
            mean.par_chunks_mut(STRIP)
                .zip(squares.par_chunks_mut(STRIP))
                .zip(shift.par_chunks(STRIP))
                .enumerate()
                .for_each(|(strip, ((mean, squares), shift))| {
                    let columns = strip * STRIP..strip * STRIP + mean.len();
                    let rows = || {
                        block
                            .chunks_exact(width)
                            .filter_map(|row| row.get(columns.clone()))
                    };
                    let mut own_mean = vec![0.0_f64; mean.len()];
                    for row in rows() {
                        elementwise::add_deviations(&mut own_mean, row, shift);
                    }
                    own_mean.iter_mut().for_each(|sum| *sum /= count as f64);
                    for row in rows() {
                        elementwise::add_squares(squares, row, shift, &own_mean);
                    }
                    let weight = seen as f64 * count as f64 / merged;
                    let share = count as f64 / merged;
                    for ((mean, squares), own) in mean.iter_mut().zip(squares).zip(&own_mean) {
                        let delta = own - *mean;
                        *mean += delta * share;
                        *squares += delta * delta * weight;
                    }
                });
            seen += count;
            Ok(())
        })?;
        if let Some(column) = squares.iter().position(|s| !s.is_finite()) {
            return Err(PcaError::Overflow { column });
        }
        let scale: Vec<f64> = squares
            .iter()
            .zip(shift.iter().zip(&mean))
            .map(|(&s, (shift, mean))| options.column_scale(seen as u64, shift + mean, s))
            .collect();
        let standardised = squares
            .iter()
            .zip(&scale)
            .filter(|(_, scale)| **scale != 0.0);
        let total = standardised.map(|(s, scale)| s / (scale * scale)).sum();
        check_total(total)?;
        Ok(Self {
            rows,
            block_rows,
            shift,
            mean,
            scale,
            total,
            z: vec![],
            products: vec![],
        })
    }
}

impl<T: Value> Operator for Standardised<'_, T> {
    fn dimension(&self) -> usize {
        self.mean.len()
    }

    fn apply(&mut self, q: MatRef<'_, f64>) -> Result<Mat<f64>> {
        let (width, k) = (self.mean.len(), q.ncols());
        let mut sum = vec![0.0; width * k];
        let Self {
            rows,
            block_rows,
            shift,
            mean,
            scale,
            z,
            products,
            ..
        } = self;
        rows.for_each_block(*block_rows, |block| {
            let n = block.len() / width;
            z.resize(n * width, 0.0);
            products.resize(width.div_ceil(STRIP) * n * k, 0.0);
            // Zᵦ Q, strip by strip of the columns.
            z.par_chunks_mut(n * STRIP)
                .zip(products.par_chunks_mut(n * k))
                .zip(mean.par_chunks(STRIP).zip(scale.par_chunks(STRIP)))
                .zip(shift.par_chunks(STRIP))
                .enumerate()
                .for_each(|(strip, (((z, product), (mean, scale)), shift))| {
                    let (start, len) = (strip * STRIP, mean.len());
                    for (z, row) in z.chunks_exact_mut(len).zip(block.chunks_exact(width)) {
                        let row = row.get(start..).unwrap_or_default();
                        elementwise::standardise_shifted(z, row, shift, mean, scale);
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
                for (total, p) in first.iter_mut().zip(product) {
                    *total += p;
                }
            }
            // Zᵦᵀ times that.
            let product = MatRef::from_column_major_slice(first, n, k);
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
            Ok(())
        })?;
        Ok(MatRef::from_row_major_slice(&sum, width, k).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gram;
    use crate::spill::Disk;

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
