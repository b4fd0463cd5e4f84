//! Fits against scikit-learn and Spark ML's definitions; the numbers are in `golden_values`.

use crate::golden_values::{
    CONSTANT_COLUMN, Golden, ILL_CONDITIONED, RANK_DEFICIENT, SPARK, TALL, TALL_UNSCALED, TINY,
    WIDE,
};
use datafusion_functions_pca::{Convention, FitOptions, NComponents, PcaFitter, PcaModel, Value};

fn data(n: usize, d: usize) -> Vec<Vec<f64>> {
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
fn close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
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

#[test]
fn rank_deficient() {
    let mut rows = data(12, 5);
    for row in &mut rows {
        row[3] = row[0] + row[1];
        row[4] = 2.0 * row[2];
    }
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
    let rows = [vec![1.0, 2.0, 4.5], vec![3.0, 1.5, 4.0]];
    // All entries tie: scikit-learn's sign depends on rounding, ours is that of the first entry.
    let model = fit(&rows, count(1));
    let third = 1.0 / 3.0_f64.sqrt();
    close(
        "components",
        model.components(),
        &[third, -third, -third],
        1e-14,
    );
    close(
        "explained_variance",
        model.explained_variance(),
        TINY.explained_variance,
        1e-14,
    );
    close("mean", model.mean(), TINY.mean, 1e-15);
    close("scale", model.scale(), TINY.scale, 1e-15);
    let sign = TINY.components[0].signum();
    let mut scores = vec![];
    model.transform([rows[0].as_slice()], &mut scores);
    close("scores", &[scores[0] * sign], TINY.first_scores, 1e-14);
}

#[test]
fn ill_conditioned() {
    // Standard deviations from 1e-3 to 1e6 around a mean of 1e9: the covariance matrix holds them to
    // 1e-16 of the largest variance, as scikit-learn's covariance_eigh does.
    let mut rows = data(30, 4);
    for row in &mut rows {
        row[0] = row[0] * 1e6 + 1e9;
        row[2] *= 1e-3;
    }
    let model = fit(&rows, count(4).with_scale(false));
    let golden = &ILL_CONDITIONED;
    close("mean", model.mean(), golden.mean, 1e-15);
    close(
        "variance",
        model.explained_variance(),
        golden.explained_variance,
        1e-14,
    );
    close(
        "first component",
        &model.components()[..4],
        &golden.components[..4],
        1e-13,
    );
    // The same values standardised lose nothing.
    let scaled = fit(&rows, count(4));
    let reference = fit(&data(30, 4), count(4));
    close(
        "standardised",
        scaled.explained_variance(),
        reference.explained_variance(),
        1e-7,
    );
}

#[test]
fn spark() {
    let rows = constant_column();
    let options = count(2).with_convention(Convention::Spark);
    check(&rows, &fit(&rows, options), &SPARK, 1e-13);
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
