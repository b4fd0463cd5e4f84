//! Fits against scikit-learn and Spark ML's definitions; the numbers are in `golden_values`.

use crate::golden_values::{
    CONSTANT_COLUMN, Golden, ILL_CONDITIONED, RANK_DEFICIENT, SPARK, SPARK_ILL_CONDITIONED,
    SPARK_RANK_DEFICIENT, SPARK_TALL, SPARK_TINY, SPARK_WIDE, TALL, TALL_UNSCALED, TINY, WIDE,
};
use datafusion_functions_pca::{Convention, FitOptions, NComponents, PcaFitter, PcaModel, Value};

pub(crate) fn data(n: usize, d: usize) -> Vec<Vec<f64>> {
    let cell =
        |i: usize, j: usize| ((i * 37 + j * 11 + i * i * j * 7) % 29) as f64 / 8.0 - (j % 3) as f64;
    (0..n)
        .map(|i| (0..d).map(|j| cell(i, j)).collect())
        .collect()
}

fn fit(rows: &[Vec<f64>], options: FitOptions) -> PcaModel {
    let mut fitter = PcaFitter::<f64>::new(options);
    rows.iter().for_each(|row| fitter.push(row).unwrap());
    fitter.fit().unwrap()
}

#[track_caller]
pub(crate) fn close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let unit = expected.iter().fold(1e-300_f64, |m, v| m.max(v.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!(
            (f - e).abs() <= tolerance * unit,
            "{what}[{i}] = {f}, expected {e}"
        );
    }
}

#[track_caller]
fn check(rows: &[Vec<f64>], model: &PcaModel, golden: &Golden, tolerance: f64) {
    close("mean", model.mean(), golden.mean, 1e-15);
    close("scale", model.scale(), golden.scale, 1e-14);
    close(
        "explained_variance",
        model.explained_variance(),
        golden.explained_variance,
        tolerance,
    );
    let ratio = golden.explained_variance_ratio;
    close(
        "explained_variance_ratio",
        model.explained_variance_ratio(),
        ratio,
        tolerance,
    );
    close(
        "components",
        model.components(),
        golden.components,
        tolerance,
    );
    let mut scores = vec![];
    model.transform([rows[0].as_slice()], &mut scores);
    close("scores", &scores, golden.first_scores, tolerance);
}

fn count(k: usize) -> FitOptions {
    FitOptions::new(NComponents::Count(k))
}

#[test]
fn tall() {
    let rows = data(40, 4);
    check(&rows, &fit(&rows, count(3)), &TALL, 1e-13);
}

#[test]
fn tall_unscaled_by_ratio() {
    let rows = data(40, 4);
    let options = FitOptions::new(NComponents::Ratio(0.9)).with_scale(false);
    check(&rows, &fit(&rows, options), &TALL_UNSCALED, 1e-13);
}

#[test]
fn wide() {
    let rows = data(5, 8);
    check(&rows, &fit(&rows, count(3)), &WIDE, 1e-13);
}

fn rank_deficient_rows() -> Vec<Vec<f64>> {
    let mut rows = data(12, 5);
    for row in &mut rows {
        row[3] = row[0] + row[1];
        row[4] = 2.0 * row[2];
    }
    rows
}

#[test]
fn rank_deficient() {
    let rows = rank_deficient_rows();
    check(&rows, &fit(&rows, count(3)), &RANK_DEFICIENT, 1e-13);
    let all = fit(&rows, count(5));
    assert!(all.explained_variance()[3] < 1e-14 && all.explained_variance()[4] < 1e-14);
}

fn constant_column() -> Vec<Vec<f64>> {
    let mut rows = data(12, 4);
    rows.iter_mut().for_each(|row| row[1] = 0.1);
    rows
}

#[test]
fn constant_column_has_scale_1() {
    let rows = constant_column();
    check(&rows, &fit(&rows, count(2)), &CONSTANT_COLUMN, 1e-13);
}

#[test]
fn tiny() {
    check_tiny(count(1), &TINY);
}

#[track_caller]
fn check_tiny(options: FitOptions, golden: &Golden) {
    let rows = [vec![1.0, 2.0, 4.5], vec![3.0, 1.5, 4.0]];
    // All entries tie: scikit-learn's sign depends on rounding, ours is that of the first entry.
    let model = fit(&rows, options);
    let third = 1.0 / 3.0_f64.sqrt();
    let expected = [third, -third, -third];
    close("components", model.components(), &expected, 1e-14);
    let variance = golden.explained_variance;
    close("variance", model.explained_variance(), variance, 1e-14);
    close("mean", model.mean(), golden.mean, 1e-15);
    close("scale", model.scale(), golden.scale, 1e-15);
    let sign = golden.components[0].signum();
    let mut scores = vec![];
    model.transform([rows[0].as_slice()], &mut scores);
    close("scores", &[scores[0] * sign], golden.first_scores, 1e-14);
}

/// Standard deviations from 1e-3 to 1e6 around a mean of 1e9.
fn ill_conditioned_rows() -> Vec<Vec<f64>> {
    let mut rows = data(30, 4);
    for row in &mut rows {
        row[0] = row[0] * 1e6 + 1e9;
        row[2] *= 1e-3;
    }
    rows
}

/// The covariance matrix holds variances to 1e-16 of the largest, as scikit-learn's covariance_eigh
/// does.
#[track_caller]
fn check_ill_conditioned(model: &PcaModel, golden: &Golden) {
    close("mean", model.mean(), golden.mean, 1e-15);
    let variance = golden.explained_variance;
    close("variance", model.explained_variance(), variance, 1e-14);
    let (found, expected) = (&model.components()[..4], &golden.components[..4]);
    close("first component", found, expected, 1e-13);
}

#[test]
fn ill_conditioned() {
    let rows = ill_conditioned_rows();
    let model = fit(&rows, count(4).with_scale(false));
    check_ill_conditioned(&model, &ILL_CONDITIONED);
    // The same values standardised lose nothing.
    let scaled = fit(&rows, count(4));
    let reference = fit(&data(30, 4), count(4));
    let (found, expected) = (scaled.explained_variance(), reference.explained_variance());
    close("standardised", found, expected, 1e-7);
}

fn spark(k: usize) -> FitOptions {
    count(k).with_convention(Convention::Spark)
}

#[test]
fn spark_constant_column_has_scale_0() {
    let rows = constant_column();
    check(&rows, &fit(&rows, spark(2)), &SPARK, 1e-13);
}

#[test]
fn spark_tall_wide_and_rank_deficient() {
    let rows = data(40, 4);
    check(&rows, &fit(&rows, spark(3)), &SPARK_TALL, 1e-13);
    let rows = data(5, 8);
    check(&rows, &fit(&rows, spark(3)), &SPARK_WIDE, 1e-13);
    let rows = rank_deficient_rows();
    check(&rows, &fit(&rows, spark(3)), &SPARK_RANK_DEFICIENT, 1e-13);
}

#[test]
fn spark_tiny() {
    check_tiny(spark(1), &SPARK_TINY);
}

#[test]
fn spark_ill_conditioned() {
    let model = fit(&ill_conditioned_rows(), spark(4).with_scale(false));
    check_ill_conditioned(&model, &SPARK_ILL_CONDITIONED);
}

#[test]
fn single_precision_rows_are_computed_in_double_precision() {
    fn model<T: Value>(row: impl Fn(&[f64]) -> Vec<T>) -> PcaModel {
        let mut fitter = PcaFitter::<T>::new(count(3));
        data(40, 4)
            .iter()
            .for_each(|r| fitter.push(&row(r)).unwrap());
        fitter.fit().unwrap()
    }
    // The data is exact in an f32, so the models are equal to the last bit.
    assert_eq!(
        model(<[f64]>::to_vec),
        model(|r| r.iter().map(|&v| v as f32).collect())
    );
}

/// A model that this version wrote must stay readable, byte for byte. `tests/read_model.py` reads the
/// same file with the safetensors package. Written anew by running with `UPDATE_GOLDEN=1`.
#[test]
fn the_stored_format_is_stable() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tall.safetensors");
    let rows = data(40, 4);
    let fitted = fit(&rows, count(3));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, fitted.encode()).unwrap();
    }
    let bytes = std::fs::read(path).unwrap();
    let stored = PcaModel::decode(&bytes).unwrap();
    check(&rows, &stored, &TALL, 1e-13);
    assert_eq!((stored.n_samples(), stored.n_null_rows()), (40, 0));
    assert_eq!(stored.encode(), bytes);
}
