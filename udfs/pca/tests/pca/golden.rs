//! Fits against scikit-learn 1.9.1 (`svd_solver="full"`) and Spark ML's definitions.
//!
//! The numbers below were printed by this script:
//!
//! ```python
//! # pip install scikit-learn==1.9.1; python golden.py
//! import numpy as np
//! from sklearn.decomposition import PCA
//! from sklearn.preprocessing import StandardScaler
//!
//! def data(n, d):  # exact in f32
//!     i, j = np.ogrid[:n, :d]
//!     return ((i * 37 + j * 11 + i * i * j * 7) % 29) / 8.0 - (j % 3)
//!
//! def case(name, x, k, scale=True, spark=False):
//!     n = len(x)
//!     if spark:
//!         # org.apache.spark.ml: StandardScaler(withStd=True, withMean=False), then PCA.
//!         std = x.std(axis=0, ddof=1) if scale else np.ones(x.shape[1])
//!         z = np.where(std > 1e-12, x / np.where(std > 1e-12, std, 1), 0.0)
//!         s = PCA(k, svd_solver="full").fit(z)
//!         mean, sc, scores = x.mean(axis=0), np.where(std > 1e-12, std, 0), z[:1] @ s.components_.T
//!     else:
//!         ss = StandardScaler(with_mean=True, with_std=scale).fit(x)
//!         s = PCA(k, svd_solver="full").fit(ss.transform(x))
//!         mean, sc = ss.mean_, ss.scale_ if scale else np.ones(x.shape[1])
//!         scores = s.transform(ss.transform(x[:1]))
//!     f = lambda a: "&[" + ", ".join(repr(float(v)) for v in np.ravel(a)) + "]"
//!     print(f"""const {name}: Golden = Golden {{
//!     mean: {f(mean)},
//!     scale: {f(sc)},
//!     components: {f(s.components_)},
//!     explained_variance: {f(s.explained_variance_)},
//!     explained_variance_ratio: {f(s.explained_variance_ratio_)},
//!     first_scores: {f(scores)},
//! }};
//! """)
//!
//! case("TALL", data(40, 4), 3)
//! case("TALL_UNSCALED", data(40, 4), 0.9, scale=False)
//! case("WIDE", data(5, 8), 3)
//! rank = data(12, 5); rank[:, 3] = rank[:, 0] + rank[:, 1]; rank[:, 4] = 2 * rank[:, 2]
//! case("RANK_DEFICIENT", rank, 3)
//! constant = data(12, 4); constant[:, 1] = 0.1
//! case("CONSTANT_COLUMN", constant, 2)
//! case("TINY", np.array([[1.0, 2.0, 4.5], [3.0, 1.5, 4.0]]), 1)
//! ill = data(30, 4) * np.array([1e6, 1.0, 1e-3, 1.0]) + np.array([1e9, 0, 0, 0])
//! case("ILL_CONDITIONED", ill, 4, scale=False)
//! case("SPARK", constant, 2, spark=True)
//! ```

use datafusion_functions_pca::{Convention, FitOptions, NComponents, PcaFitter, PcaModel, Value};

struct Golden {
    mean: &'static [f64],
    scale: &'static [f64],
    components: &'static [f64],
    explained_variance: &'static [f64],
    explained_variance_ratio: &'static [f64],
    first_scores: &'static [f64],
}

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

const TALL: Golden = Golden {
    mean: &[1.7375, 0.8375, -0.0625, 1.946875],
    scale: &[
        1.0491067629178643,
        0.9553304402142748,
        0.946209543388778,
        0.9366193780693414,
    ],
    components: &[
        0.3160103562539281,
        -0.6432470985807466,
        0.6826448687661499,
        -0.14271162550739724,
        0.2792956857064952,
        -0.40929623472260823,
        -0.3486489224868833,
        0.7955592002084887,
        0.8976189733216439,
        0.26987586176158407,
        -0.21805652183614693,
        -0.2718428797231273,
    ],
    explained_variance: &[1.3533072061415625, 1.2275202793196358, 0.9752440813245775],
    explained_variance_ratio: &[0.329868631497006, 0.2992080680841614, 0.2377157448228659],
    first_scores: &[0.5946838403278607, -1.7927590780705334, -1.3845683407789269],
};

const TALL_UNSCALED: Golden = Golden {
    mean: &[1.7375, 0.8375, -0.0625, 1.946875],
    scale: &[1.0, 1.0, 1.0, 1.0],
    components: &[
        0.6381857237237939,
        -0.6110732362477977,
        0.46818636697018534,
        0.010488458420551107,
        0.42592503054550995,
        -0.022911127027502348,
        -0.6251262881653067,
        0.6536666371001373,
        0.634556009368221,
        0.5460396573837285,
        -0.14043504929843642,
        -0.528637267384248,
        0.09298129577835525,
        0.5726301360950485,
        0.6085200461418435,
        0.5414356465127445,
    ],
    explained_variance: &[
        1.2787796717121789,
        1.1171486087394005,
        0.9961613404159144,
        0.49083305541455857,
    ],
    explained_variance_ratio: &[
        0.32933431291931536,
        0.2877081780595962,
        0.25654936331870287,
        0.12640814570238557,
    ],
    first_scores: &[
        -0.46100038831944457,
        -2.1831373690111766,
        -0.7043158391256544,
        -0.7153636029167315,
    ],
};

const WIDE: Golden = Golden {
    mean: &[1.275, 1.1, 0.2, 1.575, 0.675, -0.225, 1.15, 1.7],
    scale: &[
        1.0965856099730655,
        0.9400797838481583,
        0.842614977317636,
        0.9669539802906859,
        1.3052777482206612,
        0.8344159634139319,
        0.8602325267042626,
        0.45138675213169477,
    ],
    components: &[
        -0.07412905969902772,
        -0.32175069211945684,
        0.4741924904303805,
        -0.27052157485283324,
        -0.2739703053660373,
        0.41277454831059374,
        -0.368177121758835,
        -0.46037374517382024,
        0.08816489703078506,
        -0.47709061301934363,
        0.21036344816223546,
        0.5389156939363305,
        -0.5216233848008227,
        -0.06603992143404189,
        0.33566100973913887,
        0.2020100298342048,
        0.8328982511565568,
        0.21605886485492604,
        0.17087084880869194,
        0.06346168783805994,
        -0.13116218358693815,
        -0.2760461500278312,
        -0.36379828621845617,
        -0.024912826779097952,
    ],
    explained_variance: &[4.734419856644871, 2.987857537611143, 1.5396700201773434],
    explained_variance_ratio: &[0.4734419856644875, 0.29878575376111455, 0.15396700201773444],
    first_scores: &[2.0279508504384745, -0.5970364310873949, -1.5207496101335036],
};

const RANK_DEFICIENT: Golden = Golden {
    mean: &[
        1.5729166666666667,
        0.78125,
        -0.010416666666666666,
        2.3541666666666665,
        -0.020833333333333332,
    ],
    scale: &[
        1.1021502815204265,
        1.0053567463840882,
        0.9484888383048526,
        1.396455085405741,
        1.8969776766097053,
    ],
    components: &[
        -0.04081613333556754,
        -0.48315525049507607,
        0.5569801154941786,
        -0.3800544027724934,
        0.5569801154941784,
        0.7049496465684709,
        0.06499803239252866,
        0.25980885957039457,
        0.6031749037928797,
        0.2598088595703944,
        -0.4587644340688673,
        0.7213009332275984,
        0.349674859595057,
        0.15721050503329043,
        0.34967485959505656,
    ],
    explained_variance: &[2.7902437359437453, 1.8343411359093147, 0.829960582692394],
    explained_variance_ratio: &[0.5115446849230201, 0.33629587491670776, 0.15215944016027227],
    first_scores: &[1.685206659136329, -1.4706051758768375, 0.701118559797478],
};

const CONSTANT_COLUMN: Golden = Golden {
    mean: &[
        1.5729166666666667,
        0.09999999999999999,
        -0.010416666666666666,
        1.8958333333333333,
    ],
    scale: &[
        1.1021502815204265,
        1.0,
        0.9484888383048526,
        0.8924354162751623,
    ],
    components: &[
        0.5362266348615962,
        1.1102230246251565e-16,
        0.6794299129249769,
        -0.5008352917754167,
        0.6724887072627004,
        -2.220446049250313e-16,
        0.01470696138437469,
        0.7399612448574455,
    ],
    explained_variance: &[1.2947253565433579, 1.0619119134980242],
    explained_variance_ratio: &[0.39561052561047055, 0.3244730846799519],
    first_scores: &[0.5627833783028671, -2.1052937813524895],
};

const TINY: Golden = Golden {
    mean: &[2.0, 1.75, 4.25],
    scale: &[1.0, 0.25, 0.25],
    components: &[0.5773502691896257, -0.5773502691896257, -0.5773502691896257],
    explained_variance: &[6.000000000000001],
    explained_variance_ratio: &[1.0],
    first_scores: &[-1.7320508075688772],
};

const ILL_CONDITIONED: Golden = Golden {
    mean: &[
        1001691666.6666666,
        0.8583333333333333,
        -9.583333333333334e-05,
        1.95,
    ],
    scale: &[1.0, 1.0, 1.0, 1.0],
    components: &[
        0.9999999999999932,
        -1.0627177700348366e-07,
        -3.484320557491251e-12,
        4.703832752613213e-08,
        -9.835180850049209e-08,
        -0.5582388598864012,
        -0.0001508986309888985,
        0.8296802712746183,
        6.191297372876491e-08,
        0.8296802300639385,
        -0.0004654254198763972,
        0.5582387475088278,
        1.7459041182765885e-11,
        0.00030191682585714125,
        0.9999998803043838,
        0.00038501616662913905,
    ],
    explained_variance: &[
        1195833333333.349,
        1.0944310168113314,
        0.7227512204211963,
        7.502729032945697e-07,
    ],
    explained_variance_ratio: &[
        0.9999999999984804,
        9.152036377502333e-13,
        6.043912644627918e-13,
        6.274059121617447e-19,
    ],
    first_scores: &[
        -1691666.666666672,
        -0.7668425959915288,
        -1.3151948026488656,
        0.00011209844664674235,
    ],
};

const SPARK: Golden = Golden {
    mean: &[
        1.5729166666666667,
        0.09999999999999999,
        -0.010416666666666666,
        1.8958333333333333,
    ],
    scale: &[1.15115842510793, 0.0, 0.99066428203351, 0.9321183921421662],
    components: &[
        0.5362266348615954,
        -2.220446049250313e-16,
        0.6794299129249759,
        -0.5008352917754185,
        0.6724887072626993,
        3.608224830031759e-16,
        0.014706961384378436,
        0.7399612448574462,
    ],
    explained_variance: &[1.1868315768314106, 0.9734192540398561],
    explained_variance_ratio: &[0.3956105256104704, 0.3244730846799522],
    first_scores: &[0.24572015581988083, 0.40805866184908574],
};
