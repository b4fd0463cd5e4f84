//! Fits that are large enough for the block Lanczos method, by moments and by the Gram matrix, against
//! scikit-learn 1.9.1. The script that made the numbers:
//!
//! ```text
//! import numpy as np
//! from sklearn.decomposition import PCA
//!
//! def data(n, d):
//!     i, j = np.arange(n)[:, None], np.arange(d)[None, :]
//!     x = (i * j * 17 + i * 31 + j * 13) % 509 / 509 * 0.5
//!     for c in range(1, 13):
//!         a = ((i * (c * 37 + 11) + i * i * c) % 101 - 50) / 50
//!         b = ((j * (c * 53 + 7) + j * j * (c + 2)) % 97 - 48) / 48
//!         x = x + a / c * b
//!     return x
//!
//! for name, n, d, k in [("TALL", 900, 600, 10), ("WIDE", 520, 700, 10)]:
//!     for convention, spark in [("", False), ("SPARK_", True)]:
//!         x = data(n, d)
//!         z = (x - x.mean(0)) / x.std(0, ddof=1 if spark else 0)
//!         full = PCA(k, svd_solver="full").fit(z)
//!         v = full.components_
//!         v = v * np.sign(v[np.arange(k), np.abs(v).argmax(1)])[:, None]
//!         scores = (x[:1] / x.std(0, ddof=1) if spark else z[:1]) @ v.T
//!         print(f"pub(super) const {convention}{name}: Large = Large {{")
//!         for field, values in [("explained_variance", full.explained_variance_), ("explained_variance_ratio", full.explained_variance_ratio_), ("first_scores", scores[0]), ("last_entries", v[:, -1])]:
//!             print(f"    {field}: &[" + ", ".join(repr(float(q)) for q in values) + "],")
//!         print("};")
//! ```

use datafusion_functions_pca::{Convention, FitOptions, NComponents, PcaFitter};

struct Large {
    explained_variance: &'static [f64],
    explained_variance_ratio: &'static [f64],
    /// Of the first row.
    first_scores: &'static [f64],
    /// Of each component.
    last_entries: &'static [f64],
}

fn data(n: usize, d: usize) -> Vec<Vec<f64>> {
    let cell = |i: usize, j: usize| {
        let noise = ((i * j * 17 + i * 31 + j * 13) % 509) as f64 / 509.0 * 0.5;
        (1..13).fold(noise, |x, c| {
            let a = (((i * (c * 37 + 11) + i * i * c) % 101) as f64 - 50.0) / 50.0;
            let b = (((j * (c * 53 + 7) + j * j * (c + 2)) % 97) as f64 - 48.0) / 48.0;
            x + a / c as f64 * b
        })
    };
    (0..n)
        .map(|i| (0..d).map(|j| cell(i, j)).collect())
        .collect()
}

/// Within a tolerance that is relative to the largest, or to 1 if that is larger.
#[track_caller]
fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let unit = expected.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= tolerance * unit, "{f}, expected {e}");
    }
}

/// In one piece, and in two that are merged.
fn check(n: usize, d: usize, convention: Convention, golden: &Large) {
    let rows = data(n, d);
    let k = golden.explained_variance.len();
    let options = FitOptions::new(NComponents::Count(k)).with_convention(convention);
    for split in [0, n / 3] {
        let (left, right) = rows.split_at(split);
        let fitter = |rows: &[Vec<f64>]| {
            let mut fitter = PcaFitter::<f64>::new(options);
            rows.iter().for_each(|row| fitter.push(row).unwrap());
            fitter
        };
        let mut whole = fitter(left);
        whole.merge(fitter(right)).unwrap();
        let model = whole.fit().unwrap();
        for (found, expected) in model
            .explained_variance()
            .iter()
            .zip(golden.explained_variance)
        {
            assert!(
                (found / expected - 1.0).abs() < 1e-12,
                "{found}, expected {expected}"
            );
        }
        close(
            model.explained_variance_ratio(),
            golden.explained_variance_ratio,
            1e-12,
        );
        let last: Vec<f64> = model.components().chunks(d).map(|c| c[d - 1]).collect();
        close(&last, golden.last_entries, 1e-11);
        let mut scores = vec![];
        model.transform([rows[0].as_slice()], &mut scores);
        close(&scores, golden.first_scores, 1e-11);
    }
}

#[test]
fn tall() {
    check(900, 600, Convention::ScikitLearn, &TALL);
    check(900, 600, Convention::Spark, &SPARK_TALL);
}

#[test]
fn wide() {
    check(520, 700, Convention::ScikitLearn, &WIDE);
    check(520, 700, Convention::Spark, &SPARK_WIDE);
}

/// The same deviations around 0 and around 2⁴⁰, where they are still exact: by the Gram matrix, by moments,
/// and in passes over rows on disk.
#[test]
fn large_means_cost_no_digits() {
    for (n, d, limit) in [
        (40, 60, 1 << 30),
        (90, 60, 1 << 30),
        (1800, 1500, 8_000_000),
    ] {
        let fit = |mean: f64| {
            let options = FitOptions::new(NComponents::Count(2)).with_scale(false);
            let mut fitter = PcaFitter::<f64>::new(options.with_memory_limit(limit));
            for row in data(n, d) {
                let row: Vec<f64> = row
                    .iter()
                    .map(|x| (x * 1024.0).round() / 1024.0 + mean)
                    .collect();
                fitter.push(&row).unwrap();
            }
            fitter.fit().unwrap()
        };
        let (near, far) = (fit(0.0), fit(2_f64.powi(40)));
        for (found, expected) in far
            .explained_variance()
            .iter()
            .zip(near.explained_variance())
        {
            assert!(
                (found / expected - 1.0).abs() < 1e-12,
                "{found}, expected {expected}"
            );
        }
        close(far.components(), near.components(), 1e-11);
    }
}

const TALL: Large = Large {
    explained_variance: &[
        288.2855385524297,
        94.67106683224446,
        45.52060214383195,
        28.800000128411195,
        18.009678961846703,
        16.11878316307993,
        8.26658756576437,
        6.751436029987498,
        4.464396285142407,
        3.2586755922358495,
    ],
    explained_variance_ratio: &[
        0.47994203547895226,
        0.15760979459664395,
        0.07578337282834242,
        0.047946666880447505,
        0.02998278034574107,
        0.026834789006683055,
        0.013762337447448455,
        0.011239890723997701,
        0.007432393074709301,
        0.00542509140262968,
    ],
    first_scores: &[
        29.560427613804215,
        -10.969088027822961,
        -13.309404492301281,
        15.478676802482749,
        8.538492542039789,
        4.038527942120761,
        3.0699919907067836,
        -2.337046985217454,
        0.9247004662115689,
        0.7706135486915283,
    ],
    last_entries: &[
        -0.0013153290259823014,
        0.043505171452399516,
        0.10047604533224036,
        0.04741284917239736,
        -0.022182890486140323,
        -0.017459613811240234,
        0.006330995419856798,
        -0.05684972199352013,
        0.029299410120900468,
        -0.019015020565052804,
    ],
};
const SPARK_TALL: Large = Large {
    explained_variance: &[
        287.9652212873716,
        94.56587675798647,
        45.47002369700542,
        28.768000128268525,
        17.98966820744462,
        16.10087340400983,
        8.25740246846908,
        6.743934434398617,
        4.459435844825582,
        3.2550548415778104,
    ],
    explained_variance_ratio: &[
        0.4799420354789524,
        0.15760979459664404,
        0.07578337282834233,
        0.04794666688044751,
        0.029982780345741016,
        0.02683478900668303,
        0.013762337447448458,
        0.011239890723997689,
        0.007432393074709299,
        0.005425091402629681,
    ],
    first_scores: &[
        30.363916569532783,
        -10.442439031946083,
        -11.568325412384342,
        14.214166837535934,
        10.172261160275289,
        3.6641260484580878,
        5.7276243146149195,
        -1.801896841346767,
        3.113193692448816,
        0.147603788258663,
    ],
    last_entries: &[
        -0.0013153290259823283,
        0.0435051714523995,
        0.10047604533224039,
        0.04741284917239722,
        -0.022182890486140354,
        -0.01745961381124038,
        0.00633099541985698,
        -0.05684972199352008,
        0.029299410120900246,
        -0.019015020565052804,
    ],
};
const WIDE: Large = Large {
    explained_variance: &[
        336.7104593060907,
        111.4964645025956,
        52.647390069737156,
        33.55682357294621,
        21.309145838591462,
        18.943156894941175,
        9.623149961224266,
        7.888532744644935,
        5.265432768183821,
        3.840367091998412,
    ],
    explained_variance_ratio: &[
        0.48008991313148675,
        0.15897435460672296,
        0.07506592155547692,
        0.047846130314173334,
        0.030383095302826856,
        0.027009611067237572,
        0.013720919862295048,
        0.011247660699095394,
        0.00750758133705331,
        0.0054756882438109266,
    ],
    first_scores: &[
        31.998130570984394,
        -12.159076609363815,
        -13.817422282296448,
        16.605769292501165,
        10.31235116849976,
        3.1378534782864773,
        3.350725662055282,
        2.5825224434240486,
        0.8092444308902615,
        0.39063867341892444,
    ],
    last_entries: &[
        -0.036927404748372195,
        0.038918680162457475,
        0.04214626598208955,
        -0.027474562926738826,
        0.07377150988181745,
        0.05069765121924035,
        0.0024187611608510844,
        0.03642999896061729,
        0.006189607695382241,
        -0.024485661579616336,
    ],
};
const SPARK_WIDE: Large = Large {
    explained_variance: &[
        336.0629391920404,
        111.28204822470596,
        52.546145088833825,
        33.49229121992133,
        21.26816671197884,
        18.906727747066313,
        9.604643903606535,
        7.873362489366768,
        5.255306935937314,
        3.832981770667656,
    ],
    explained_variance_ratio: &[
        0.4800899131314866,
        0.1589743546067229,
        0.07506592155547694,
        0.047846130314173355,
        0.030383095302826933,
        0.027009611067237607,
        0.013720919862295058,
        0.01124766069909539,
        0.007507581337053311,
        0.0054756882438109404,
    ],
    first_scores: &[
        32.81130572989045,
        -11.460687535963357,
        -11.924046341442946,
        15.304598605165447,
        12.036404368284852,
        2.5549247591082476,
        6.256076693497347,
        2.080456170330787,
        3.140474681709439,
        -0.23566759582310876,
    ],
    last_entries: &[
        -0.03692740474837218,
        0.03891868016245747,
        0.04214626598208958,
        -0.027474562926738888,
        0.07377150988181777,
        0.05069765121924004,
        0.002418761160851061,
        0.03642999896061724,
        0.006189607695382234,
        -0.024485661579616284,
    ],
};
