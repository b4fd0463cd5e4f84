//! `cargo bench --bench pca`: seconds, GFLOP/s and peak memory of `pca_fit` and `pca_transform`, by route
//! and by number of threads.

//! Every measurement is a process of its own, so that its peak memory (VmHWM) is its own too.

//! * `-- NAME …` runs the cases whose name contains one of these;
//! * `-- --json` prints one JSON object per measurement;
//! * `-- --test` runs all cases on small data, to see that they work;
//! * `-- --threads N` measures with N threads instead of one and all;
//! * `-- --data DIR` keeps the data there (default: the temporary folder), as `.npy` and Parquet files
//!   that `benches/peers/pca.py` gives to other engines;
//! * `-- --model FILE` stores the model that was fitted, in the safetensors layout.
//!
//! `FEATURIZE_KERNELS_ISA` (`avx512`, `avx2`, `neon`, `portable`) selects the instruction set of our own
//! loops. The products and decompositions are faer's, which takes the best that the machine has.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that cannot run should stop"
)]

mod data;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use datafusion_featurize::enable_featurize;
use datafusion_featurize::pca::{FitOptions, NComponents, PcaFitter, PcaModel};
use serde_json::{Value, json};

use crate::data::{make_data, read_npy};

/// As in the `featurize` program.
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One thing to measure.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    /// Which of the routes of `pca_fit` it takes.
    route: &'static str,
    rows: usize,
    columns: usize,
    n_components: NComponents,
    memory_limit: usize,
    sql: bool,
}

const GIB: usize = 1 << 30;

const fn case(
    name: &'static str,
    route: &'static str,
    rows: usize,
    columns: usize,
    k: usize,
) -> Case {
    Case {
        name,
        route,
        rows,
        columns,
        n_components: NComponents::Count(k),
        memory_limit: GIB,
        sql: false,
    }
}

const CASES: [Case; 6] = [
    case("tall", "moments", 22_688, 1280, 123),
    case("wide", "gram", 3110, 25_088, 100),
    Case {
        n_components: NComponents::Ratio(0.9),
        ..case("wide_ratio", "gram", 3110, 25_088, 0)
    },
    Case {
        memory_limit: GIB / 4,
        ..case("wide_disk", "stream", 3110, 25_088, 100)
    },
    Case {
        sql: true,
        ..case("sql", "moments", 22_688, 1280, 123)
    },
    Case {
        sql: true,
        ..case("sql_90380", "moments", 90_380, 1280, 123)
    },
];

impl Case {
    /// The same on little data.
    fn small(self) -> Self {
        let wide = self.columns > self.rows;
        Self {
            rows: if wide { 80 } else { 2000 },
            columns: if wide { 1500 } else { 40 },
            n_components: match self.n_components {
                NComponents::Count(_) => NComponents::Count(5),
                ratio => ratio,
            },
            memory_limit: if self.route == "stream" { 4 << 20 } else { GIB },
            ..self
        }
    }

    fn file(&self, data: &Path) -> PathBuf {
        let ending = if self.sql { "parquet" } else { "npy" };
        data.join(format!("{}x{}.{ending}", self.rows, self.columns))
    }

    /// Arithmetic of a fit with `k` components, in GFLOP: the products, not the decompositions.
    fn fit_gflop(&self, k: usize) -> f64 {
        let (n, d, k) = (self.rows as f64, self.columns as f64, k as f64);
        match self.route {
            "moments" => n * d * d / 1e9,
            "gram" => (n * n * d + 2.0 * n * d * k) / 1e9,
            _ => f64::NAN,
        }
    }
}

struct Arguments {
    json: bool,
    small: bool,
    threads: Option<usize>,
    data: PathBuf,
    model: Option<PathBuf>,
    /// Set in the process that measures, or that makes data.
    run: Option<String>,
    names: Vec<String>,
}

impl Arguments {
    fn parse() -> Self {
        let mut parsed = Self {
            json: false,
            small: false,
            threads: None,
            data: std::env::temp_dir().join("featurize-pca-bench"),
            model: None,
            run: None,
            names: vec![],
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().expect("the option needs a value");
            match word.as_str() {
                "--json" => parsed.json = true,
                "--test" => parsed.small = true,
                "--threads" => parsed.threads = Some(value().parse().expect("a number")),
                "--data" => parsed.data = value().into(),
                "--model" => parsed.model = Some(value().into()),
                "--run" => parsed.run = Some(value()),
                // What cargo itself passes on.
                "--bench" => {}
                name => parsed.names.push(name.to_string()),
            }
        }
        parsed
    }
}

fn main() {
    let arguments = Arguments::parse();
    std::fs::create_dir_all(&arguments.data).unwrap();
    let cases = CASES.map(|case| if arguments.small { case.small() } else { case });
    match arguments.run.as_deref().and_then(|run| run.split_once(':')) {
        Some((what, name)) => {
            let case = cases.iter().find(|c| c.name == name).expect("a case");
            match what {
                "data" => make_data(case, &arguments.data),
                _ => println!("{}", measure(case, &arguments)),
            }
        }
        None => measure_all(&cases, &arguments),
    }
}

fn measure_all(cases: &[Case], arguments: &Arguments) {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    if !arguments.json {
        println!(
            "| case | route | rows × columns | k | threads | fit s | transform s | fit GFLOP/s | transform GFLOP/s | peak MB |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|");
    }
    for case in cases {
        let named = |name: &String| case.name.contains(name.as_str());
        if !arguments.names.is_empty() && !arguments.names.iter().any(named) {
            continue;
        }
        if !case.file(&arguments.data).exists() {
            child(case, "data", all, arguments);
        }
        let threads = match arguments.threads {
            Some(threads) => vec![threads],
            None if case.sql || all == 1 => vec![all],
            None => vec![1, all],
        };
        for threads in threads {
            let line = child(case, "case", threads, arguments);
            if arguments.json {
                println!("{}", line.trim());
                continue;
            }
            let row: Value = serde_json::from_str(&line).unwrap();
            let number = |key: &str| {
                row[key]
                    .as_f64()
                    .map_or_else(|| "–".to_string(), |v| format!("{v:.2}"))
            };
            println!(
                "| {} | {} | {} × {} | {} | {threads} | {} | {} | {} | {} | {:.0} |",
                case.name,
                case.route,
                case.rows,
                case.columns,
                row["k"],
                number("fit_seconds"),
                number("transform_seconds"),
                number("fit_gflops"),
                number("transform_gflops"),
                row["peak_mb"].as_f64().unwrap_or(f64::NAN),
            );
        }
    }
}

/// Runs this program again for one case, and returns what it prints.
fn child(case: &Case, what: &str, threads: usize, arguments: &Arguments) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--run", &format!("{what}:{}", case.name)])
        .args(["--threads", &threads.to_string()])
        .arg("--data")
        .arg(&arguments.data)
        .env("RAYON_NUM_THREADS", threads.to_string());
    if arguments.small {
        command.arg("--test");
    }
    if let Some(model) = &arguments.model {
        command.arg("--model").arg(model);
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{what} {} failed: {}",
        case.name,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn measure(case: &Case, arguments: &Arguments) -> Value {
    let threads = arguments.threads.unwrap_or(1);
    let file = case.file(&arguments.data);
    let (model, fit_seconds, transform_seconds) = if case.sql {
        measure_sql(case, &file, threads)
    } else {
        measure_rust(case, &file, threads)
    };
    let k = model.n_components();
    let score = 2.0 * case.rows as f64 * case.columns as f64 * k as f64 / 1e9;
    if let Some(path) = &arguments.model {
        std::fs::write(path, model.encode()).unwrap();
    }
    assert_eq!(model.n_samples(), case.rows as u64);
    let finite = |value: f64| value.is_finite().then_some(value);
    json!({
        "case": case.name,
        "route": case.route,
        "rows": case.rows,
        "columns": case.columns,
        "k": k,
        "threads": threads,
        "fit_seconds": fit_seconds,
        "transform_seconds": transform_seconds,
        "total_seconds": fit_seconds + transform_seconds,
        "fit_gflops": finite(case.fit_gflop(k) / fit_seconds),
        "transform_gflops": finite(score / transform_seconds),
        "peak_mb": peak_mb(),
    })
}

/// The Rust interface on rows in memory, one fitter a thread, as SQL has one a partition.
fn measure_rust(case: &Case, file: &Path, threads: usize) -> (PcaModel, f64, f64) {
    let data = read_npy(file, case);
    let options = FitOptions::new(case.n_components).with_memory_limit(case.memory_limit);
    let d = case.columns;
    let part = case.rows.div_ceil(threads) * d;

    let start = Instant::now();
    let fit_part = |rows: &[f32]| {
        let mut fitter = PcaFitter::new(options);
        rows.chunks_exact(d)
            .for_each(|row| fitter.push(row).unwrap());
        fitter
    };
    let mut fitters: Vec<PcaFitter<f32>> = std::thread::scope(|scope| {
        let parts = data.chunks(part);
        let running: Vec<_> = parts
            .map(|rows| scope.spawn(move || fit_part(rows)))
            .collect();
        running.into_iter().map(|r| r.join().unwrap()).collect()
    });
    let mut fitter = fitters.remove(0);
    for other in fitters {
        fitter.merge(other).unwrap();
    }
    let model = fitter.fit().unwrap();
    drop(fitter);
    let fit_seconds = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let scores: usize = std::thread::scope(|scope| {
        let model = &model;
        let transform = |rows: &[f32]| {
            let mut scores = vec![];
            model.transform(rows.chunks_exact(d), &mut scores);
            std::hint::black_box(scores).len()
        };
        let parts = data.chunks(part);
        let running: Vec<_> = parts
            .map(|rows| scope.spawn(move || transform(rows)))
            .collect();
        running.into_iter().map(|r| r.join().unwrap()).sum()
    });
    assert_eq!(scores, case.rows * model.n_components());
    (model, fit_seconds, start.elapsed().as_secs_f64())
}

/// SQL over a Parquet file.
fn measure_sql(case: &Case, file: &Path, threads: usize) -> (PcaModel, f64, f64) {
    let NComponents::Count(k) = case.n_components else {
        unreachable!("SQL cases ask for a count");
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let config = SessionConfig::new().with_target_partitions(threads);
        let ctx = SessionContext::new_with_config(config);
        enable_featurize(&ctx).unwrap();
        let path = file.to_str().unwrap();
        ctx.register_parquet("features", path, ParquetReadOptions::default())
            .await
            .unwrap();
        let query = async |sql: &str| ctx.sql(sql).await.unwrap().collect().await.unwrap();

        let start = Instant::now();
        let fit = format!("SELECT pca_fit(features, {k}) AS pca FROM features");
        let fitted = query(&fit).await;
        let fit_seconds = start.elapsed().as_secs_f64();
        let fitted = fitted.into_iter().find(|b| b.num_rows() > 0).unwrap();
        let model = PcaModel::decode(fitted.column(0).as_binary_view().value(0)).unwrap();
        ctx.register_batch("model", fitted).unwrap();

        let start = Instant::now();
        let scores = query(
            "SELECT sum(scores[1]) AS s FROM \
             (SELECT pca_transform(features, (SELECT pca FROM model)) AS scores FROM features)",
        )
        .await;
        assert_eq!(scores.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
        (model, fit_seconds, start.elapsed().as_secs_f64())
    })
}

/// Largest resident size of this process so far.
fn peak_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}
