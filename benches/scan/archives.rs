//! Members of archives beside the same objects in folders.

use std::time::Instant;

use serde_json::json;

use crate::{BUCKET, Server, Sizes, report, run, session};

/// Objects a second of the members of an archive: the first statement of a session, which lists it
/// too, and a later one; beside the same objects in folders, and the archive as one object.
pub(crate) async fn measure(sizes: &Sizes, server: &Server) {
    const BYTES: &str = "sum(octet_length(encode(content, 'hex'))) / 2";
    let options = format!(", {}", server.options);
    let place = |name: &str| format!("s3://{BUCKET}/{name}");
    for format in ["zip", "tar"] {
        let location = place(&format!("archives/all.{format}"));
        let mut seconds = [f64::MAX; 5];
        for _ in 0..sizes.rounds {
            let started = Instant::now();
            let ctx = session(&[("members", &location, &options)]).await;
            run(
                &ctx,
                "SELECT CAST(length(path) AS BIGINT) FROM members WHERE content IS NOT NULL LIMIT 1",
            )
            .await;
            let first_row = started.elapsed();
            let ctx_of_all = session(&[
                ("objects", &place("scan/"), &options),
                (
                    "archive",
                    &place("archives/"),
                    &format!("{options}, 'pathGlobFilter' '*.{format}'"),
                ),
            ])
            .await;
            let mut times = vec![first_row];
            let fresh = Instant::now();
            let new = session(&[("members", &location, &options)]).await;
            for (ctx, table) in [
                (&new, "members"),
                (&new, "members"),
                (&ctx_of_all, "objects"),
                (&ctx_of_all, "archive"),
            ] {
                let started = if times.len() == 1 {
                    fresh
                } else {
                    Instant::now()
                };
                let bytes = run(ctx, &format!("SELECT {BYTES} FROM {table}")).await as usize;
                times.push(started.elapsed());
                assert!(bytes >= sizes.objects * sizes.bytes, "{table}: {bytes}");
            }
            for (least, time) in seconds.iter_mut().zip(times) {
                *least = least.min(time.as_secs_f64());
            }
        }
        let [first_row, first, later, objects, whole] = seconds;
        let rate = |seconds: f64| sizes.objects as f64 / seconds;
        report(
            sizes,
            &format!("{format} of {} members", sizes.objects),
            &json!({
                "measurement": "archives", "format": format, "latency_ms": sizes.latency_ms,
                "objects": sizes.objects, "bytes": sizes.bytes, "first_row_seconds": first_row,
                "objects_per_second": rate(first), "later_objects_per_second": rate(later),
                "folder_objects_per_second": rate(objects), "ratio": objects / first,
                "later_ratio": objects / later, "share_of_bandwidth": whole / first,
                "later_share_of_bandwidth": whole / later, "goal": 10,
            }),
            &format!(
                "first row after {first_row:.2} s; {:.0} objects/s, {:.0} in a later statement; in \
                 folders {:.0}: ratio {:.1} and {:.1}; the archive as one object takes {:.2} and \
                 {:.2} of the time",
                rate(first),
                rate(later),
                rate(objects),
                objects / first,
                objects / later,
                whole / first,
                whole / later
            ),
        );
    }
}
