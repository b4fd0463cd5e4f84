//! Two reports beside each other.

use std::fmt::Write;

use super::figures::{Job, Report, Stage};
use super::table::{seconds, significant, title};

/// Ratios of `now` to `before`, for the networks that both have.
///
/// # Errors
/// When they have none in common.
pub(crate) fn markdown(before: &Report, now: &Report) -> Result<String, String> {
    let pairs: Vec<(&Job, &Job)> = now
        .jobs
        .iter()
        .filter_map(|now| {
            let same = |job: &&Job| job.model == now.model;
            Some((before.jobs.iter().find(same)?, now))
        })
        .collect();
    if pairs.is_empty() {
        let models = |report: &Report| {
            let models: Vec<&str> = report.jobs.iter().map(|job| job.model.as_str()).collect();
            models.join(", ")
        };
        return Err(format!(
            "--compare: no network in common: before {}, now {}",
            models(before),
            models(now)
        ));
    }
    let mut text = format!("Beside the figures of {}:\n", before.date);
    for difference in differences(before, now) {
        let _ = writeln!(text, "\nNot the same {difference}");
    }
    for (before, now) in pairs {
        text += &job(before, now);
    }
    Ok(text)
}

/// What else than the program may have changed the figures.
fn differences(before: &Report, now: &Report) -> Vec<String> {
    let mut found = vec![];
    let mut check = |what: &str, before: String, now: String| {
        if before != now {
            found.push(format!("{what}: before {before}, now {now}."));
        }
    };
    check("machine", before.machine.describe(), now.machine.describe());
    check(
        "images",
        format!("{:?}", before.setup.data),
        format!("{:?}", now.setup.data),
    );
    check(
        "latency",
        format!("{} ms", before.setup.latency_ms),
        format!("{} ms", now.setup.latency_ms),
    );
    check(
        "components",
        before.setup.components.clone(),
        now.setup.components.clone(),
    );
    found
}

fn job(before: &Job, now: &Job) -> String {
    let mut text = format!(
        "\n**{}**\n\n| stage | seconds before | now | now ÷ before |\n|---|--:|--:|--:|\n",
        title(&now.model)
    );
    for stage in &now.stages {
        let same = |other: &&Stage| (&other.name, other.is_part) == (&stage.name, stage.is_part);
        let old = before.stages.iter().find(same).map(|old| old.seconds);
        let dash = if stage.is_part { "– " } else { "" };
        text += &line(&format!("{dash}{}", stage.name), old, stage.seconds);
    }
    text += &line("**whole job**", Some(before.seconds), now.seconds);
    let rate = |job: &Job| job.per_second(job.seconds);
    let _ = writeln!(
        text,
        "| **images/s** | {} | {} | {:.3} |",
        significant(rate(before)),
        significant(rate(now)),
        rate(now) / rate(before)
    );
    if let (Some(old), Some(new)) = (before.peak_bytes(), now.peak_bytes()) {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let _ = writeln!(
            text,
            "| **peak MB** | {:.0} | {:.0} | {:.3} |",
            megabytes(old),
            megabytes(new),
            new as f64 / old as f64
        );
    }
    text
}

fn line(name: &str, before: Option<f64>, now: f64) -> String {
    let shown = before.map(seconds).unwrap_or_default();
    let ratio = before
        .filter(|before| *before > 0.0)
        .map(|before| format!("{:.3}", now / before));
    format!(
        "| {name} | {shown} | {} | {} |\n",
        seconds(now),
        ratio.unwrap_or_default()
    )
}
