//! The benchmark of the whole job (`benches/pipeline`): its parts, and that the job runs. A program
//! without a test harness has no tests of its own.

mod arguments;
mod data;
mod figures;

#[path = "../../benches/pipeline"]
mod bench {
    pub(super) mod arguments;
    pub(super) mod compare;
    pub(super) mod figures;
    pub(super) mod fruits;
    pub(super) mod job;
    pub(super) mod machine;
    #[expect(
        dead_code,
        reason = "only the benchmark starts it in a process of its own"
    )]
    pub(super) mod serve;
    pub(super) mod table;

    use crate::scan::s3_server;
}

use self::bench::{fruits, job};
use crate::scan::s3_server::S3Server;

#[tokio::test(flavor = "multi_thread")]
async fn the_job_runs() {
    let (images, results) = (
        S3Server::in_memory(&["fruits"]),
        S3Server::on_disk(&["results"]),
    );
    let files = fruits::draw(7, (30, 20), 0).unwrap();
    let bytes: usize = files.iter().map(|(_, content)| content.len()).sum();
    for (key, content) in files {
        images.put("fruits", &key, content);
    }
    let order = job::Order {
        images: "s3://fruits/".to_owned(),
        images_options: images.options(),
        results: "s3://results/".to_owned(),
        results_options: results.options(),
        model: "mobilenet_v2".to_owned(),
        components: "3".to_owned(),
    };
    let job = job::run(&order).await.unwrap();
    assert_eq!((job.images, job.bytes), (7, bytes as u64));
    assert_eq!((job.features, job.components), (1280, 3));
    let names: Vec<&str> = job.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "load the network",
            "list",
            "fetch, decode, featurize, write Parquet",
            "waiting for S3",
            "decoding, resizing",
            "the network",
            "encoding Parquet",
            "listing again, uploading, committing, idling",
            "fit the PCA",
            "transform, write Parquet",
            "transform, write CSV",
        ]
    );
    // What operators count under these names has been found.
    for stage in &job.stages[3..7] {
        assert!(stage.is_part && stage.seconds > 0.0, "{stage:?}");
    }
    assert!(job.stages[6].bytes > Some(7 * 1280), "{:?}", job.stages[6]);
    let parts: f64 = job.stages[3..8].iter().map(|stage| stage.seconds).sum();
    let whole = job.stages[2].seconds;
    assert!((parts - whole).abs() < 1e-6 * whole, "{parts} of {whole}");
}
