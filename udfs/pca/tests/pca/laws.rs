//! Laws that hold for all data. A distributed query splits rows as it likes and joins the pieces in
//! any order, so the model must not depend on either; nor on how a batch reaches `pca_transform`.

use crate::calls::{accumulator, call, list, model, state};
use arrow::array::{ArrayRef, AsArray};
use datafusion_common::ScalarValue;
use datafusion_expr::{Accumulator, ColumnarValue};
use datafusion_functions_pca::{PcaModel, functions};
use proptest::prelude::*;

const LIMIT: f64 = 1e-12;

/// Rows whose variances along the components differ, so that components are well determined.
fn rows(n: usize, d: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut state = seed.wrapping_mul(2) | 1;
    let mut next = || {
        // xorshift64*: reproducible without a dependency.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    };
    (0..n)
        .map(|_| {
            let (a, b) = (next() * 9.0, next() * 3.0);
            (0..d)
                .map(|j| {
                    5.0 + a * (1.0 + j as f64).sqrt()
                        + b * if j % 2 == 0 { 1.0 } else { -1.0 }
                        + next() * 0.1
                })
                .collect()
        })
        .collect()
}

fn column(rows: &[Vec<f64>]) -> ArrayRef {
    list(&rows.iter().cloned().map(Some).collect::<Vec<_>>())
}

fn partial(rows: &[Vec<f64>]) -> Box<dyn Accumulator> {
    let column = column(rows);
    let mut accumulator = accumulator(column.data_type(), &[ScalarValue::from(2_i64)]).unwrap();
    accumulator.update_batch(&[column]).unwrap();
    accumulator
}

fn merge(mut left: Box<dyn Accumulator>, mut right: Box<dyn Accumulator>) -> Box<dyn Accumulator> {
    let before = right.size();
    let state = state(right.as_mut());
    assert!(before >= size_of_val(&left));
    left.merge_batch(&state).unwrap();
    left
}

fn finish(mut accumulator: Box<dyn Accumulator>) -> PcaModel {
    PcaModel::decode(&model(accumulator.evaluate().unwrap())).unwrap()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let unit = b.iter().fold(1e-300_f64, |m, v| m.max(v.abs()));
    a.iter()
        .zip(b)
        .fold(0.0_f64, |m, (a, b)| m.max((a - b).abs()))
        / unit
}

fn check_equal(a: &PcaModel, b: &PcaModel) -> Result<(), TestCaseError> {
    prop_assert_eq!(a.n_samples(), b.n_samples());
    prop_assert!(distance(a.mean(), b.mean()) < LIMIT);
    prop_assert!(distance(a.scale(), b.scale()) < LIMIT);
    prop_assert!(distance(a.explained_variance(), b.explained_variance()) < LIMIT);
    prop_assert!(distance(a.components(), b.components()) < LIMIT);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    // Up to 2,300 rows of 3 to 40 columns: pieces are rows in some partitions, moments in others.
    #[test]
    fn any_merge_tree_equals_one_pass(
        n in prop_oneof![4_usize..60, 1000_usize..2300],
        d in 3_usize..40,
        seed in any::<u64>(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
        order in proptest::collection::vec(any::<proptest::sample::Index>(), 6),
    ) {
        let rows = rows(n, d, seed);
        let whole = finish(partial(&rows));
        let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(n)).collect();
        cuts.extend([0, n]);
        cuts.sort_unstable();
        let mut pieces: Vec<_> = cuts.windows(2).map(|w| partial(&rows[w[0]..w[1]])).collect();
        let mut order = order.iter().cycle();
        while pieces.len() > 1 {
            let right = pieces.swap_remove(order.next().unwrap().index(pieces.len()));
            let at = order.next().unwrap().index(pieces.len());
            let left = std::mem::replace(&mut pieces[at], partial(&[]));
            pieces[at] = merge(left, right);
        }
        check_equal(&finish(pieces.remove(0)), &whole)?;
    }

    #[test]
    fn the_order_of_the_rows_does_not_matter(n in 3_usize..80, d in 3_usize..50, seed in any::<u64>()) {
        let mut rows = rows(n, d, seed);
        let forward = finish(partial(&rows));
        rows.reverse();
        let backward = finish(partial(&rows));
        check_equal(&backward, &forward)?;
        // Fewer rows than columns are sorted before the fit: equal to the last bit.
        prop_assert!(n > d || backward == forward);
    }

    #[test]
    fn components_are_orthonormal(n in 2_usize..40, d in 1_usize..40, seed in any::<u64>()) {
        let column = column(&rows(n, d, seed));
        let k = n.min(d);
        let mut accumulator = accumulator(column.data_type(), &[ScalarValue::from(k as i64)]).unwrap();
        accumulator.update_batch(&[column]).unwrap();
        let model = finish(accumulator);
        let c: Vec<&[f64]> = model.components().chunks_exact(d).collect();
        for i in 0..k {
            for j in 0..=i {
                let dot: f64 = c[i].iter().zip(c[j]).map(|(a, b)| a * b).sum();
                let expected = if i == j { 1.0 } else { 0.0 };
                prop_assert!((dot - expected).abs() < 1e-12, "{i} {j}: {dot}");
            }
        }
        prop_assert!(model.explained_variance().is_sorted_by(|a, b| a >= b));
        prop_assert!(model.explained_variance_ratio().iter().sum::<f64>() < 1.0 + 1e-12);
    }

    #[test]
    fn one_row_at_a_time_equals_a_batch(n in 2_usize..70, d in 3_usize..20, seed in any::<u64>()) {
        let rows = rows(n, d, seed);
        let bytes = model(partial(&rows).evaluate().unwrap());
        let model = || ColumnarValue::Scalar(ScalarValue::BinaryView(Some(bytes.clone())));
        let transform = functions::pca_transform();
        let features = column(&rows);
        let batch = call(&transform, vec![ColumnarValue::Array(features), model()], n).unwrap();
        let batch = batch.into_array(n).unwrap();
        let batch = batch.as_list::<i32>();
        for (i, row) in rows.iter().enumerate() {
            let features = column(std::slice::from_ref(row));
            let scalar = ScalarValue::try_from_array(&features, 0).unwrap();
            let one = call(&transform, vec![ColumnarValue::Scalar(scalar), model()], 1).unwrap();
            let one = one.into_array(1).unwrap();
            let one = one.as_list::<i32>().value(0);
            let values = |a: &ArrayRef| a.as_primitive::<arrow::datatypes::Float64Type>().values().to_vec();
            prop_assert!(distance(&values(&one), &values(&batch.value(i))) < LIMIT);
        }
    }
}
