//! The numbers of Spark ML and scikit-learn themselves, scaled or not, centred or not. They are in
//! `tests/data/conventions.safetensors`, which the script beside it makes.

use crate::golden::{close, data};
use datafusion_functions_pca::{
    Convention, FitOptions, NComponents, PcaError, PcaFitter, PcaModel, ScalerFitter, Scaling,
};
use safetensors::SafeTensors;

/// A tolerance up to sign: the originals differ from each other by about 1e-14.
const TOLERANCE: f64 = 1e-9;

const GOLDEN: &[u8] = include_bytes!("../data/conventions.safetensors");

fn golden(key: &str) -> Vec<f64> {
    let tensors = SafeTensors::deserialize(GOLDEN).unwrap();
    let (values, _) = tensors.tensor(key).unwrap().data().as_chunks();
    values.iter().map(|b| f64::from_le_bytes(*b)).collect()
}

/// The rows of a case and the number of components that Spark was asked for.
fn case(name: &str) -> (Vec<Vec<f64>>, usize) {
    match name {
        "tall" => (data(40, 4), 3),
        "wide" => (data(5, 8), 8),
        _ => {
            let mut rows = data(12, 4);
            rows.iter_mut().for_each(|row| row[1] = 0.1);
            (rows, 2)
        }
    }
}

fn fit(rows: &[Vec<f64>], n_components: NComponents, scaling: Scaling) -> PcaModel {
    let options = FitOptions {
        scaling,
        ..FitOptions::new(n_components)
    };
    let mut fitter = PcaFitter::<f64>::new(options);
    rows.iter().for_each(|row| fitter.push(row).unwrap());
    fitter.fit().unwrap()
}

/// The first columns of row-major values, each times its sign.
fn columns(values: &[f64], width: usize, signs: &[f64]) -> Vec<f64> {
    let rows = values.chunks_exact(width);
    rows.flat_map(|row| row.iter().zip(signs).map(|(v, s)| v * s))
        .collect()
}

#[test]
fn all_combinations_give_the_numbers_of_spark_and_scikit_learn() {
    for convention in [Convention::Spark, Convention::ScikitLearn] {
        for name in ["tall", "wide", "constant"] {
            for scale in [true, false] {
                for with_mean in [true, false] {
                    let scaling = Scaling {
                        convention,
                        scale,
                        with_mean: Some(with_mean),
                    };
                    let of = convention.name();
                    check(
                        &format!("{of}/{name}/scale={scale}/mean={with_mean}"),
                        name,
                        scaling,
                    );
                }
            }
        }
    }
}

#[track_caller]
fn check(key: &str, name: &str, scaling: Scaling) {
    let (rows, k) = case(name);
    let width = rows[0].len();
    let slices = || rows.iter().map(Vec::as_slice);

    let mut scaler = ScalerFitter::new();
    slices().for_each(|row| scaler.push(row).unwrap());
    let mut scaled = vec![];
    scaler
        .fit(scaling)
        .unwrap()
        .transform(slices(), &mut scaled);
    close(key, &scaled, &golden(&format!("{key}/scaled")), TOLERANCE);

    let n_components = match scaling.convention {
        Convention::Spark => NComponents::Count(k),
        Convention::ScikitLearn => NComponents::All,
    };
    let model = fit(&rows, n_components, scaling);
    let ratio = golden(&format!("{key}/ratio"));
    // Beyond those that exist Spark gives components that explain nothing.
    let available = rows.len().min(width).min(ratio.len());
    assert_eq!(model.n_components(), available, "{key}");
    let clamped = (ratio.len() > available).then_some(k);
    assert_eq!(model.n_components_requested(), clamped, "{key}");
    close(
        key,
        model.explained_variance_ratio(),
        &ratio[..available],
        TOLERANCE,
    );
    assert!(ratio[available..].iter().all(|r| *r < 1e-15), "{key}");

    let explains = ratio.iter().take_while(|r| **r > 1e-12).count();
    let expected = golden(&format!("{key}/components"));
    let signs: Vec<f64> = (0..explains)
        .map(|c| {
            let row = c * width..(c + 1) * width;
            let found = &model.components()[row.clone()];
            let product: f64 = found.iter().zip(&expected[row]).map(|(a, b)| a * b).sum();
            product.signum()
        })
        .collect();
    for (c, sign) in signs.iter().enumerate() {
        let row = c * width..(c + 1) * width;
        let component: Vec<f64> = expected[row.clone()].iter().map(|v| v * sign).collect();
        close(key, &model.components()[row], &component, TOLERANCE);
    }
    let mut scores = vec![];
    model.transform(slices(), &mut scores);
    let ones = vec![1.0; explains];
    close(
        key,
        &columns(&scores, available, &ones),
        &columns(&golden(&format!("{key}/scores")), ratio.len(), &signs),
        TOLERANCE,
    );
    // All components bring back what was scaled, and the mean with it.
    let all = fit(&rows, NComponents::All, scaling);
    let (mut scores, mut back) = (vec![], vec![]);
    all.transform(slices(), &mut scores);
    all.inverse_transform(scores.chunks_exact(all.n_components()), &mut back);
    let lossless = rows.len() > width && !all.scale().contains(&0.0);
    if lossless || all.is_centred() {
        close(key, &back, &rows.concat(), TOLERANCE);
    }
    // The bytes say it all.
    assert_eq!(PcaModel::decode(&model.encode()).unwrap(), model, "{key}");
}

#[test]
fn scikit_learn_does_not_clamp() {
    let (rows, _) = case("wide");
    let mut fitter = PcaFitter::<f64>::new(FitOptions::new(NComponents::Count(8)));
    rows.iter().for_each(|row| fitter.push(row).unwrap());
    let error = fitter.fit().unwrap_err();
    assert!(
        matches!(error, PcaError::TooManyComponents { .. }),
        "{error}"
    );
}

/// By moments and by the Gram matrix; what is fitted in passes has no memory for all.
#[test]
fn all_components_on_every_route() {
    for (n, d) in [(60, 20), (20, 60)] {
        let rows = data(n, d);
        let all = fit(&rows, NComponents::All, Scaling::default());
        assert_eq!(all.n_components(), 20);
        let total: f64 = all.explained_variance_ratio().iter().sum();
        assert!((total - 1.0).abs() < 1e-12, "{total}");
        assert_eq!(all, fit(&rows, NComponents::Count(20), Scaling::default()));
    }
    let options = FitOptions::new(NComponents::All).with_memory_limit(1_200_000);
    let mut fitter = PcaFitter::<f64>::new(options);
    let mut pushed = data(600, 300).iter().try_for_each(|row| fitter.push(row));
    pushed = pushed.and_then(|()| fitter.fit().map(|_| ()));
    let error = pushed.unwrap_err();
    assert!(matches!(error, PcaError::Memory { .. }), "{error}");
}

/// A cut model is that of a fit of so many components, to rounding.
#[test]
fn truncating_equals_fitting() {
    for (n, d) in [(60, 20), (20, 60)] {
        let rows = data(n, d);
        let spark = Scaling {
            convention: Convention::Spark,
            ..Scaling::default()
        };
        for scaling in [Scaling::default(), spark] {
            let complete = fit(&rows, NComponents::All, scaling);
            for wanted in [
                NComponents::Count(1),
                NComponents::Count(7),
                NComponents::Ratio(0.5),
                NComponents::Ratio(0.9),
                NComponents::Ratio(0.99),
            ] {
                let (cut, fitted) = (
                    complete.truncate(wanted).unwrap(),
                    fit(&rows, wanted, scaling),
                );
                assert_eq!(cut.n_components(), fitted.n_components(), "{wanted:?}");
                close("mean", cut.mean(), fitted.mean(), 0.0);
                close("scale", cut.scale(), fitted.scale(), 0.0);
                let (found, expected) = (cut.explained_variance(), fitted.explained_variance());
                close("variance", found, expected, 1e-12);
                close("components", cut.components(), fitted.components(), 1e-9);
            }
        }
    }
}

#[test]
fn a_model_cannot_be_cut_to_more_than_it_has() {
    let (rows, _) = case("wide");
    let scaling = Scaling::default();
    let few = fit(&rows, NComponents::Count(2), scaling);
    assert_eq!(
        few.truncate(NComponents::Count(3)).unwrap_err().to_string(),
        "n_components = 3 is more than 2, the number of components of the model: fit one with more, or \
         with all, by leaving n_components out"
    );
    assert_eq!(
        few.truncate(NComponents::Ratio(0.9))
            .unwrap_err()
            .to_string(),
        "the 2 components of the model explain 0.7722 of the variance, which is not more than 0.9: fit one \
         with more, or with all, by leaving n_components out"
    );
    assert_eq!(few.truncate(NComponents::Ratio(0.7)).unwrap(), few);
    let spark = Scaling {
        convention: Convention::Spark,
        ..scaling
    };
    // As in a fit: five components are all there are, but not in a model of two.
    let complete = fit(&rows, NComponents::All, spark);
    let clamped = complete.truncate(NComponents::Count(8)).unwrap();
    assert_eq!(clamped.n_components_requested(), Some(8));
    assert_eq!(clamped.components(), complete.components());
    assert!(
        fit(&rows, NComponents::Count(2), spark)
            .truncate(NComponents::Count(8))
            .is_err()
    );
    // All shares together may be a little less than 1.
    let most = NComponents::Ratio(1.0 - f64::EPSILON / 2.0);
    assert!(complete.truncate(most).is_ok());
}
