//! The inner matrix multiplication: a few rows by one or two vectors of columns.
//!
//! The whole sum over `k` stays in registers, as one chain of fused multiply-adds per element in
//! the order of `k`. So an element never depends on how many rows are computed together, and the
//! results are the same bits for any batch size, number of threads and instruction set.

#![expect(
    clippy::needless_range_loop,
    reason = "indices are the rows and columns of tiles held in registers"
)]

use crate::simd::{LANES, Lanes, Simd};

/// How far ahead columns are asked for: 4 KB, some 400 cycles, the time that memory takes. The
/// packed weights of a deep layer exceed every cache, and the processor's own prefetching stops at
/// the end of each page.
const PREFETCH_LINES: usize = 64;

/// The number of columns must be a multiple of this: so many `k` are computed without a branch.
pub(crate) const UNROLLED: usize = 4;

/// Multiplies `M` rows by `N` vectors of columns, adding to `sums`.
///
/// * `rows` holds, for each block of sixteen `k`, one line per row, `STRIDE` lines apart; `blocks` says
///   where. So rows can be pixels of a blocked feature map as well as packed tiles.
/// * `columns` holds, for each `k`, `N` lines. Their number, a multiple of [`UNROLLED`], decides how
///   far the sum goes; the last block may have fewer than sixteen `k`.
#[inline(always)]
pub(crate) fn multiply<S: Simd, const M: usize, const N: usize, const STRIDE: usize>(
    simd: S,
    rows: &[Lanes],
    blocks: impl Iterator<Item = usize>,
    columns: &[Lanes],
    mut sums: [[S::V; N]; M],
) -> [[S::V; N]; M] {
    let (columns, _) = columns.as_chunks::<N>();
    for (columns, block) in columns.chunks(LANES).zip(blocks) {
        let Some(rows) = rows.get(block..block + (M - 1) * STRIDE + 1) else {
            break;
        };
        let (quarters, _) = columns.as_chunks::<UNROLLED>();
        for (quarter, columns) in quarters.iter().enumerate().take(LANES / UNROLLED) {
            for k in 0..UNROLLED {
                let mut column = [simd.splat(0.0); N];
                for n in 0..N {
                    column[n] = simd.load(&columns[k][n]);
                    simd.prefetch((&raw const columns[k][n]).wrapping_add(PREFETCH_LINES));
                }
                for m in 0..M {
                    let row = simd.splat(rows[m * STRIDE].0[quarter * UNROLLED + k]);
                    for n in 0..N {
                        sums[m][n] = simd.mul_add(row, column[n], sums[m][n]);
                    }
                }
            }
        }
    }
    sums
}

/// Calls `$body` with the constant `$m` equal to `$rows`, which must not exceed
/// [`Simd::GEMM_ROWS`] of `$simd`.
macro_rules! with_rows {
    ($simd:ty, $rows:expr, $m:ident => $body:expr) => {
        $crate::gemm::with_rows!(@arms $simd, $rows, $m, $body, 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
    };
    (@arms $simd:ty, $rows:expr, $m:ident, $body:expr, $($n:literal)*) => {
        match $rows {
            $($n => {
                const $m: usize = $n;
                // Constant, so that no code is made for sizes that the registers cannot hold.
                if $m <= <$simd as $crate::simd::Simd>::GEMM_ROWS {
                    $body
                }
            })*
            _ => {}
        }
    };
}
pub(crate) use with_rows;

/// Cuts `len` rows into as few panels as [`Simd::GEMM_ROWS`] allows, all of nearly the same size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Panels {
    count: usize,
    small: usize,
    large_count: usize,
}

impl Panels {
    #[inline(always)]
    pub(crate) fn new(len: usize, most: usize) -> Self {
        let count = len.div_ceil(most).max(1);
        Self {
            count,
            small: len / count,
            large_count: len % count,
        }
    }

    /// First row and number of rows of every panel.
    #[inline(always)]
    pub(crate) fn iter(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.count).map(move |panel| {
            let start = panel * self.small + panel.min(self.large_count);
            (start, self.small + usize::from(panel < self.large_count))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simd::{Isa, Kernel};

    struct Product<'a> {
        rows: usize,
        k: usize,
        a: &'a [Lanes],
        b: &'a [Lanes],
        out: &'a mut [Lanes],
    }

    impl Kernel for Product<'_> {
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            with_rows!(S, self.rows, M => {
                let b = &self.b[..self.k];
                let blocks = (0..).step_by(M);
                let sums = multiply::<S, M, 1, 1>(simd, self.a, blocks, b, [[simd.splat(0.5)]; M]);
                for (out, [sum]) in self.out.iter_mut().zip(sums) {
                    simd.store(out, sum);
                }
            });
        }
    }

    proptest! {
        #[test]
        fn panels_cover_all_rows_once(len in 1usize..200, most in 1usize..15) {
            let mut next = 0;
            for (start, rows) in Panels::new(len, most).iter() {
                prop_assert_eq!(start, next);
                prop_assert!(rows >= 1 && rows <= most);
                next += rows;
            }
            prop_assert_eq!(next, len);
        }

        #[test]
        fn products_agree_with_the_definition(
            rows in 1usize..=14,
            k in (1usize..18).prop_map(|k| k * UNROLLED),
            seed in any::<u32>(),
        ) {
            let mut state = seed | 1;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            };
            let mut lanes = |n: usize| -> Vec<Lanes> {
                (0..n).map(|_| Lanes(std::array::from_fn(|_| next()))).collect()
            };
            let a = lanes(k.div_ceil(LANES) * rows);
            let b = lanes(k);
            let mut fused: Option<Vec<Lanes>> = None;
            for isa in Isa::ALL {
                let Ok(arch) = isa.arch() else { continue };
                let mut out = vec![Lanes::ZERO; rows];
                let most = arch.gemm_rows();
                let mut start = 0;
                // The panel's own row count must not matter, so tiles too tall are cut.
                while start < rows {
                    let some = most.min(rows - start);
                    let part: Vec<Lanes> = a
                        .chunks(rows)
                        .flat_map(|block| block[start..start + some].to_vec())
                        .collect();
                    arch.run(Product {
                        rows: some,
                        k,
                        a: &part,
                        b: &b,
                        out: &mut out[start..],
                    });
                    start += some;
                }
                for (m, out) in out.iter().enumerate() {
                    for (n, &actual) in out.0.iter().enumerate() {
                        let mut expected = 0.5f64;
                        for (k, b) in b.iter().enumerate() {
                            let a = a[k / LANES * rows + m].0[k % LANES];
                            expected += f64::from(a) * f64::from(b.0[n]);
                        }
                        prop_assert!((f64::from(actual) - expected).abs() < 1e-5);
                    }
                }
                if isa != Isa::Portable {
                    prop_assert_eq!(fused.get_or_insert_with(|| out.clone()), &out);
                }
            }
        }
    }
}
