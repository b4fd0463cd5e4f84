//! The figures as Markdown.

use std::fmt::Write;

use super::arguments::Data;
use super::figures::{Job, Report, Stage};

/// What PySpark jobs of this kind took, as their authors reported: images and seconds. The first ran VGG16
/// on a machine of 2 vCPUs.
const PYSPARK: [(u64, u64); 3] = [
    (3110, 15 * 60 + 24),
    (6231, 30 * 60 + 28),
    (3114, 23 * 60 + 30),
];

/// The whole report.
pub(crate) fn markdown(report: &Report) -> String {
    let mut text = intro(report);
    for job in &report.jobs {
        text += &stages(job);
    }
    text += &beside_pyspark(report);
    let _ = writeln!(
        text,
        "\n{}, {}, release build, `cargo bench --bench pipeline`.",
        report.machine.describe(),
        report.date
    );
    text
}

fn intro(report: &Report) -> String {
    let images = report.jobs.first().map_or(0, |job| job.images);
    let bytes = report.jobs.first().map_or(0, |job| job.bytes);
    let size = match &report.setup.data {
        Data::Drawn { width, height, .. } => format!(" of {width}×{height} pixels"),
        Data::Folder(_) => String::new(),
    };
    format!(
        "{} JPEGs{size} ({:.1} MB in {} folders) from an S3 server on the same machine, which takes \
         {} ms for each request and gets the results too:\n",
        thousands(images),
        bytes as f64 / 1e6,
        report.folders,
        report.setup.latency_ms,
    )
}

fn stages(job: &Job) -> String {
    let mut text = format!(
        "\n**{}**, {} features an image, {} components:\n\n\
         | stage | seconds | share | images/s | MB/s | peak MB |\n\
         |---|--:|--:|--:|--:|--:|\n",
        title(&job.model),
        thousands(job.features),
        thousands(job.components),
    );
    for stage in &job.stages {
        text += &line(job, stage);
    }
    let whole = Stage {
        peak_bytes: job.peak_bytes(),
        ..Stage::new("**whole job**", job.seconds)
    };
    text + &line(job, &whole)
}

fn line(job: &Job, stage: &Stage) -> String {
    let name = match stage.is_part {
        true => format!("– {}", stage.name),
        false => stage.name.clone(),
    };
    let rate = (stage.is_per_image && stage.seconds > 0.0)
        .then(|| significant(job.per_second(stage.seconds)));
    let megabytes = stage.megabytes_per_second().map(significant);
    let peak = stage
        .peak_bytes
        .map(|bytes| thousands(bytes.div_ceil(1_000_000)));
    format!(
        "| {name} | {} | {:.1} % | {} | {} | {} |\n",
        seconds(stage.seconds),
        100.0 * stage.seconds / job.seconds,
        rate.unwrap_or_default(),
        megabytes.unwrap_or_default(),
        peak.unwrap_or_default(),
    )
}

/// The PySpark job's own figures.
fn beside_pyspark(report: &Report) -> String {
    let mut text = "\nLines with – are parts of the line above them, as time of its partitions divided \
        by their number. Fetching runs ahead in the background: only what was waited for counts. \
        Megabytes are JPEGs where they are read and decoded, else vectors or files. The peak is that of the process.\n\n\
        Beside what PySpark jobs of this kind were reported to take, on other machines than this one \
        (the first: VGG16, 2 vCPUs):\n\n\
        | job | images | time | images/s |"
        .to_owned();
    let jobs = &report.jobs;
    for job in jobs {
        let _ = write!(text, " {} is |", title(&job.model));
    }
    text += "\n|---|--:|--:|--:|";
    text += &"--:|".repeat(jobs.len());
    text.push('\n');
    for job in jobs {
        let _ = writeln!(
            text,
            "| **{}** | {} | {} | {} |{}",
            title(&job.model),
            thousands(job.images),
            minutes(job.seconds),
            significant(job.per_second(job.seconds)),
            " |".repeat(jobs.len()),
        );
    }
    for (images, seconds) in PYSPARK {
        let rate = images as f64 / seconds as f64;
        let _ = write!(
            text,
            "| PySpark | {} | {} | {} |",
            thousands(images),
            minutes(seconds as f64),
            significant(rate),
        );
        for job in jobs {
            let times = job.per_second(job.seconds) / rate;
            let _ = write!(text, " {} × as fast |", significant(times));
        }
        text.push('\n');
    }
    text
}

/// Puts `table` into the guide, between its marker and the next end.
///
/// # Errors
/// When there is no such place.
pub(crate) fn into_guide(guide: &str, table: &str) -> Result<String, String> {
    const MARKER: &str =
        "<!-- pipeline: made by cargo bench --bench pipeline -- --update-guide -->";
    const END: &str = "<!-- end -->";
    let missing =
        || format!("src/guide/performance.md has no place for the table:\n{MARKER}\n{END}");
    let (before, rest) = guide.split_once(MARKER).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{MARKER}\n{table}{END}{after}"))
}

pub(crate) fn title(model: &str) -> &str {
    match model {
        "vgg16" => "VGG16",
        "mobilenet_v2" => "MobileNetV2",
        other => other,
    }
}

/// Three digits that mean something.
pub(crate) fn significant(number: f64) -> String {
    match number {
        number if number >= 99.5 => thousands(number.round() as u64),
        number if number >= 9.95 => format!("{number:.1}"),
        number => format!("{number:.2}"),
    }
}

pub(crate) fn seconds(seconds: f64) -> String {
    format!("{seconds:.2}")
}

fn minutes(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole / 60 {
        0 => format!("{seconds:.1} s"),
        minutes => format!("{minutes} min {} s", whole % 60),
    }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
