//! What a Krylov space that is full starts anew from.

use crate::krylov::orthogonal::NOISE;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// How many of the leading Ritz pairs a space that is full starts anew from, if there is room for those
/// beside a block of so many columns: those that are wanted and half of the others. If there are not
/// enough, as in a matrix of lower rank than the space's dimension, those that are not zero.
pub(crate) fn kept(
    reached: Option<usize>,
    values: &[f64],
    largest: usize,
    block: usize,
) -> Option<usize> {
    let room = largest.checked_sub(block)?;
    if let Some(count) = reached {
        let keep = (count + largest.saturating_sub(count) / 2).min(room);
        return (keep >= count).then_some(keep);
    }
    let zero = values.first()? * NOISE;
    let useful = values.iter().take_while(|v| **v > zero).count();
    (useful <= room).then_some(useful)
}

/// Rows of the basis that are worked on together.
const COMPRESSED: usize = 256;

/// Replaces the basis by its product with `vectors`, in place but for a few rows at a time.
pub(crate) fn compress(basis: &mut Vec<f64>, n: usize, vectors: MatRef<'_, f64>) {
    let (used, keep) = (vectors.nrows(), vectors.ncols());
    let mut matrix = MatMut::from_column_major_slice_mut(basis, n, used);
    for start in (0..n).step_by(COMPRESSED) {
        let rows = COMPRESSED.min(n - start);
        let mut piece = matrix.as_mut().subrows_mut(start, rows);
        let old = piece.as_ref().to_owned();
        matmul(
            piece.as_mut().subcols_mut(0, keep),
            Accum::Replace,
            old.as_ref(),
            vectors,
            1.0,
            Par::Seq,
        );
    }
    basis.truncate(n * keep);
}

#[cfg(test)]
mod tests {
    use super::*;
    use faer::Mat;

    #[test]
    fn as_many_are_kept_as_there_is_room_for() {
        let values: Vec<f64> = (0..60).map(|i| 1.0 / (1.0 + f64::from(i))).collect();
        // The wanted and half of the others.
        assert_eq!(kept(Some(20), &values, 60, 16), Some(40));
        assert_eq!(kept(Some(40), &values, 60, 16), Some(44));
        assert_eq!(kept(Some(50), &values, 60, 16), None);
        assert_eq!(kept(Some(1), &values, 10, 16), None);
        // Not enough of them: those that are not zero.
        let mut few = vec![0.0; 60];
        few[..9].copy_from_slice(&values[..9]);
        assert_eq!(kept(None, &few, 60, 16), Some(9));
        assert_eq!(kept(None, &values, 60, 16), None);
        assert_eq!(kept(None, &[], 60, 16), None);
    }

    #[test]
    fn a_compressed_basis_is_its_product_with_the_vectors() {
        let n = COMPRESSED + 44;
        let matrix = Mat::from_fn(n, 7, |i, j| ((i * 5 + j * 3) % 11) as f64);
        let vectors = Mat::from_fn(7, 3, |i, j| (i + 2 * j) as f64);
        let expected = &matrix * &vectors;
        let mut basis: Vec<f64> = vec![];
        matrix
            .col_iter()
            .for_each(|column| basis.extend(column.iter()));
        compress(&mut basis, n, vectors.as_ref());
        assert_eq!(
            MatRef::from_column_major_slice(&basis, n, 3),
            expected.as_ref()
        );
    }
}
