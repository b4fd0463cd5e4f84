//! How fast small objects come from S3: `cargo bench --bench scan`.
//!
//! The server runs in a process of its own (this program with `--serve`), delays every request by
//! 30 ms and holds its objects in memory. Measured are the scan of 10,000 objects of 5 KB against
//! the ceiling of concurrency ÷ latency, the same objects by `read_blob` from a Parquet file and as
//! members of a zip and of a tar, the listing of 90,000 objects in 130 folders, and `featurize` from S3
//! against the same files on disk, in turns.
//!
//! | argument | meaning |
//! |---|---|
//! | `--test` | few objects and little latency: does it run? |
//! | `--json` | one line of JSON a measurement, instead of a table |
//! | `--only NAME` | `scan`, `blobs`, `archives`, `listing`, `vgg16` or `mobilenet_v2` |
//! | `--objects`, `--bytes`, `--latency-ms`, `--images`, `--rounds` | other sizes |
//! | `--serve` | the server alone, until its standard input closes; it prints where it is |

#![expect(
    clippy::unwrap_used,
    reason = "a measurement that goes wrong ends the program"
)]

mod archives;
#[path = "../../tests/support/s3_server/mod.rs"]
#[expect(dead_code, reason = "the tests use the rest of it")]
mod s3_server;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionContext;
use datafusion_featurize::enable_featurize;
use serde_json::{Value, json};

use s3_server::{ACCESS_KEY_ID, REGION, S3Server, SECRET_ACCESS_KEY};

const BUCKET: &str = "bench";
const LISTING_FOLDERS: usize = 130;

#[derive(Debug, Clone)]
struct Sizes {
    objects: usize,
    bytes: usize,
    latency_ms: u64,
    listed: usize,
    /// Images a network reads, VGG16 and MobileNetV2.
    images: [usize; 2],
    rounds: usize,
    json: bool,
    only: Option<String>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let value = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).cloned()
    };
    let number =
        |name: &str, default: usize| value(name).map_or(default, |text| text.parse().unwrap());
    let test = has("--test");
    let images = number("--images", if test { 8 } else { 0 });
    let sizes = Sizes {
        objects: number("--objects", if test { 300 } else { 10_000 }),
        bytes: number("--bytes", 5_000),
        latency_ms: number("--latency-ms", if test { 2 } else { 30 }) as u64,
        listed: number("--listed", if test { 2_600 } else { 90_000 }),
        images: if images > 0 {
            [images; 2]
        } else {
            [128, 1_536]
        },
        rounds: number("--rounds", if test { 1 } else { 3 }),
        json: has("--json"),
        only: value("--only"),
    };
    if has("--serve") {
        serve(&sizes);
    } else {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(measure(&sizes));
    }
}

/// Serves the objects of all measurements until the standard input closes.
fn serve(sizes: &Sizes) {
    let server = S3Server::in_memory(&[BUCKET]);
    let mut zip = rawzip::ZipArchiveWriter::new(vec![]);
    let mut tar = tar::Builder::new(vec![]);
    for number in 0..sizes.objects {
        let content: Vec<u8> = number
            .to_le_bytes()
            .into_iter()
            .cycle()
            .take(sizes.bytes)
            .collect();
        let name = format!("{:02}/{number:06}.bin", number % 10);
        let (mut member, config) = zip.new_file(&*name).start().unwrap();
        let mut writer = config.wrap(&mut member);
        writer.write_all(&content).unwrap();
        let (_, written) = writer.finish().unwrap();
        member.finish(written).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, &name, &*content).unwrap();
        server.put(BUCKET, &format!("scan/{name}"), content);
    }
    server.put(BUCKET, "archives/all.zip", zip.finish().unwrap());
    server.put(BUCKET, "archives/all.tar", tar.into_inner().unwrap());
    for number in 0..sizes.listed {
        let folder = number % LISTING_FOLDERS;
        server.put(
            BUCKET,
            &format!("listing/{folder:03}/{number:06}.jpg"),
            b"x".as_slice(),
        );
    }
    let samples = samples();
    for number in 0..sizes.images.into_iter().max().unwrap_or(0) {
        let content = std::fs::read(&samples[number % samples.len()]).unwrap();
        server.put(BUCKET, &format!("images/{}", image_name(number)), content);
    }
    server.set_latency(Duration::from_millis(sizes.latency_ms));
    println!(
        "{}",
        json!({
            "endpoint": server.endpoint(),
            "bucket": BUCKET,
            "region": REGION,
            "access_key_id": ACCESS_KEY_ID,
            "secret_access_key": SECRET_ACCESS_KEY,
        })
    );
    std::io::stdin().read_to_end(&mut vec![]).unwrap();
}

/// The sample images of the repository.
fn samples() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/fruits");
    let mut found = vec![];
    for folder in std::fs::read_dir(root).unwrap() {
        let folder = folder.unwrap().path();
        if folder.is_dir() {
            let files = std::fs::read_dir(folder).unwrap();
            found.extend(files.map(|file| file.unwrap().path()));
        }
    }
    found.sort();
    assert!(!found.is_empty());
    found
}

fn image_name(number: usize) -> String {
    format!("{:02}/{number:06}.jpg", number % 16)
}

/// This program, serving.
struct Server {
    process: Child,
    _stdin: ChildStdin,
    options: String,
}

impl Server {
    fn start(sizes: &Sizes) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg("--serve")
            .args(["--objects", &sizes.objects.to_string()])
            .args(["--bytes", &sizes.bytes.to_string()])
            .args(["--latency-ms", &sizes.latency_ms.to_string()])
            .args(["--listed", &sizes.listed.to_string()])
            .args([
                "--images",
                &sizes.images.into_iter().max().unwrap_or(1).to_string(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = process.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        let option =
            |name: &str, field: &str| format!("'aws.{name}' '{}'", told[field].as_str().unwrap());
        let options = [
            option("endpoint", "endpoint"),
            option("region", "region"),
            option("access_key_id", "access_key_id"),
            option("secret_access_key", "secret_access_key"),
            "'aws.allow_http' 'true'".to_owned(),
        ];
        Self {
            _stdin: process.stdin.take().unwrap(),
            process,
            options: options.join(", "),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn measure(sizes: &Sizes) {
    let server = Server::start(sizes);
    let wanted = |name: &str| sizes.only.as_deref().is_none_or(|only| only == name);
    if wanted("scan") {
        scan(sizes, &server).await;
    }
    if wanted("blobs") {
        blobs(sizes, &server).await;
    }
    if wanted("archives") {
        archives::measure(sizes, &server).await;
    }
    if wanted("listing") {
        listing(sizes, &server).await;
    }
    let local = tempfile::tempdir().unwrap();
    let samples = samples();
    for (model, images, goal) in [
        ("mobilenet_v2", sizes.images[1], 0.85),
        ("vgg16", sizes.images[0], 0.95),
    ] {
        if !wanted(model) {
            continue;
        }
        for number in 0..images {
            let path = local.path().join(image_name(number));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::copy(&samples[number % samples.len()], path).unwrap();
        }
        inference(sizes, &server, model, images, goal, local.path()).await;
    }
}

async fn session(tables: &[(&str, &str, &str)]) -> SessionContext {
    let ctx = SessionContext::new();
    enable_featurize(&ctx).unwrap();
    for (name, location, options) in tables {
        let sql = format!(
            "CREATE EXTERNAL TABLE {name} STORED AS BINARYFILE LOCATION '{location}'
             OPTIONS ('recursiveFileLookup' 'true' {options})"
        );
        run(&ctx, &sql).await;
    }
    ctx
}

async fn run(ctx: &SessionContext, sql: &str) -> i64 {
    let batches = ctx.sql(sql).await.unwrap().collect().await.unwrap();
    let first = batches.first().filter(|batch| batch.num_columns() > 0);
    first.map_or(0, |batch| {
        batch.column(0).as_primitive::<Int64Type>().value(0)
    })
}

/// Objects a second, of the whole statement and of fetching alone.
async fn scan(sizes: &Sizes, server: &Server) {
    let options = format!(", {}", server.options);
    let ctx = session(&[("objects", &format!("s3://{BUCKET}/scan/"), &options)]).await;
    let sql = "SELECT sum(octet_length(encode(content, 'hex'))) / 2 FROM objects";
    for concurrency in [16, 64, 128] {
        run_setting(&ctx, concurrency).await;
        let ceiling = concurrency as f64 / (sizes.latency_ms as f64 / 1e3);
        let (mut statement, mut fetch) = (f64::MAX, f64::MAX);
        for _ in 0..sizes.rounds {
            let started = Instant::now();
            let frame = ctx.sql(sql).await.unwrap();
            let plan = frame.create_physical_plan().await.unwrap();
            let listed = Instant::now();
            let batches = collect(plan, ctx.task_ctx()).await.unwrap();
            let bytes = batches[0].column(0).as_primitive::<Int64Type>().value(0);
            assert_eq!(bytes as usize, sizes.objects * sizes.bytes);
            statement = statement.min(started.elapsed().as_secs_f64());
            fetch = fetch.min(listed.elapsed().as_secs_f64());
        }
        let rate = sizes.objects as f64 / statement;
        let fetch_rate = sizes.objects as f64 / fetch;
        report(
            sizes,
            &format!(
                "scan of {} objects, {concurrency} requests in flight",
                sizes.objects
            ),
            &json!({
                "measurement": "scan", "concurrency": concurrency, "latency_ms": sizes.latency_ms,
                "objects": sizes.objects, "bytes": sizes.bytes, "objects_per_second": rate,
                "fetch_objects_per_second": fetch_rate, "ceiling": ceiling,
                "share": rate / ceiling, "fetch_share": fetch_rate / ceiling, "goal": 0.9,
            }),
            &format!(
                "{rate:.0} objects/s with the listing, {fetch_rate:.0} without; ceiling \
                 {ceiling:.0}: {:.0} % and {:.0} %",
                100.0 * rate / ceiling,
                100.0 * fetch_rate / ceiling
            ),
        );
    }
}

/// Objects a second of `read_blob` over a Parquet list and of the table, which lists them too, in turns.
async fn blobs(sizes: &Sizes, server: &Server) {
    let options = format!(", {}", server.options);
    let ctx = session(&[("objects", &format!("s3://{BUCKET}/scan/"), &options)]).await;
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.parquet");
    let copy = format!("COPY (SELECT path FROM objects) TO '{}'", list.display());
    ctx.sql(&copy).await.unwrap().collect().await.unwrap();
    let create = format!(
        "CREATE EXTERNAL TABLE list STORED AS PARQUET LOCATION '{}'",
        list.display()
    );
    run(&ctx, &create).await;
    let sum = |content: &str| format!("sum(octet_length(encode({content}, 'hex'))) / 2");
    let statements = [
        format!("SELECT {} FROM objects", sum("content")),
        format!("SELECT {} FROM list", sum("read_blob(path)")),
    ];
    for concurrency in [64, 128] {
        run_setting(&ctx, concurrency).await;
        let mut seconds = [f64::MAX; 2];
        for _ in 0..sizes.rounds {
            for (sql, seconds) in statements.iter().zip(&mut seconds) {
                let started = Instant::now();
                let bytes = run(&ctx, sql).await;
                assert_eq!(bytes as usize, sizes.objects * sizes.bytes);
                *seconds = seconds.min(started.elapsed().as_secs_f64());
            }
        }
        let [table, blobs] = seconds.map(|seconds| sizes.objects as f64 / seconds);
        report(
            sizes,
            &format!(
                "read_blob of {} objects, {concurrency} requests in flight",
                sizes.objects
            ),
            &json!({
                "measurement": "blobs", "concurrency": concurrency, "latency_ms": sizes.latency_ms,
                "objects": sizes.objects, "bytes": sizes.bytes, "objects_per_second": blobs,
                "table_objects_per_second": table, "ratio": blobs / table, "goal": 0.95,
            }),
            &format!(
                "{blobs:.0} objects/s; the table {table:.0}: ratio {:.2}",
                blobs / table
            ),
        );
    }
}

async fn run_setting(ctx: &SessionContext, concurrency: usize) {
    let sql = format!("SET featurize.scan_concurrency = {concurrency}");
    ctx.sql(&sql).await.unwrap().collect().await.unwrap();
}

async fn listing(sizes: &Sizes, server: &Server) {
    let options = format!(", {}", server.options);
    let ctx = session(&[("objects", &format!("s3://{BUCKET}/listing/"), &options)]).await;
    let mut seconds = f64::MAX;
    for _ in 0..sizes.rounds {
        let started = Instant::now();
        let rows = run(&ctx, "SELECT count(*) FROM objects").await;
        assert_eq!(rows as usize, sizes.listed);
        seconds = seconds.min(started.elapsed().as_secs_f64());
    }
    report(
        sizes,
        &format!(
            "listing of {} objects in {LISTING_FOLDERS} folders",
            sizes.listed
        ),
        &json!({
            "measurement": "listing", "objects": sizes.listed, "folders": LISTING_FOLDERS,
            "latency_ms": sizes.latency_ms, "seconds": seconds, "goal": 5.0,
        }),
        &format!("{seconds:.2} s"),
    );
}

/// Images a second from S3 against images a second from disk, measured in turns.
async fn inference(
    sizes: &Sizes,
    server: &Server,
    model: &str,
    images: usize,
    goal: f64,
    local: &Path,
) {
    let options = format!(", {}", server.options);
    let ctx = session(&[
        ("remote", &format!("s3://{BUCKET}/images/"), &options),
        ("local", &local.display().to_string(), ""),
    ])
    .await;
    // Of the last image of the server, one may be for the other network only.
    let query = |table: &str, limit: usize| {
        format!(
            "SELECT count(features) FROM (
               SELECT featurize(content, '{model}', 'seeded') AS features
               FROM (SELECT content FROM {table} LIMIT {limit}))"
        )
    };
    run(&ctx, &query("local", 2)).await; // The weights are made once a process.
    let (mut remote, mut disk) = (f64::MAX, f64::MAX);
    for _ in 0..sizes.rounds {
        for (table, best) in [("local", &mut disk), ("remote", &mut remote)] {
            let started = Instant::now();
            let rows = run(&ctx, &query(table, images)).await;
            assert_eq!(rows as usize, images);
            *best = best.min(started.elapsed().as_secs_f64());
        }
    }
    let (remote, disk) = (images as f64 / remote, images as f64 / disk);
    report(
        sizes,
        &format!("featurize of {images} images, {model}"),
        &json!({
            "measurement": "featurize", "model": model, "images": images,
            "latency_ms": sizes.latency_ms, "s3_images_per_second": remote,
            "local_images_per_second": disk, "share": remote / disk, "goal": goal,
        }),
        &format!(
            "{remote:.1} images/s from S3, {disk:.1} from disk: {:.0} % (goal {:.0} %)",
            100.0 * remote / disk,
            100.0 * goal
        ),
    );
}

fn report(sizes: &Sizes, what: &str, figures: &Value, text: &str) {
    if sizes.json {
        println!("{figures}");
    } else {
        println!("{what}: {text}");
    }
}
