//! What was measured, as it is kept in a file.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::arguments::Setup;
use super::machine::Machine;

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stage {
    pub(crate) name: String,
    /// Whether it is a part of the last stage before it that is none.
    pub(crate) is_part: bool,
    /// Of a stage the elapsed time. Of a part the time that the partitions of its stage spent on it,
    /// divided by their number: the parts of a stage add up to the stage.
    pub(crate) seconds: f64,
    /// Bytes that a megabyte a second is said of: what comes in, or is written.
    pub(crate) bytes: Option<u64>,
    /// Whether images a second mean something.
    pub(crate) is_per_image: bool,
    /// The most memory of the process so far, since the stage began.
    pub(crate) peak_bytes: Option<u64>,
}

/// One run of the job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) model: String,
    pub(crate) images: u64,
    /// Bytes of all images as they lie in the bucket.
    pub(crate) bytes: u64,
    /// Length of a vector.
    pub(crate) features: u64,
    pub(crate) components: u64,
    /// Elapsed time, from the start of the process to its end.
    pub(crate) seconds: f64,
    pub(crate) stages: Vec<Stage>,
    /// Elapsed times of all rounds; this one is the middle one.
    pub(crate) rounds: Vec<f64>,
}

impl Job {
    pub(crate) fn per_second(&self, seconds: f64) -> f64 {
        self.images as f64 / seconds
    }

    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        self.stages
            .iter()
            .filter_map(|stage| stage.peak_bytes)
            .max()
    }

    /// The one in the middle of several runs, by elapsed time.
    pub(crate) fn median(mut jobs: Vec<Self>) -> Option<Self> {
        let rounds = jobs.iter().map(|job| job.seconds).collect();
        jobs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        let middle = jobs.len().checked_sub(1)? / 2;
        Some(Self {
            rounds,
            ..jobs.swap_remove(middle)
        })
    }

    /// Names and figures, with those that follow from others.
    fn json(&self) -> Value {
        let stages = self.stages.iter().map(|stage| {
            let mut value = json!(stage);
            if stage.is_per_image && stage.seconds > 0.0 {
                value["images_per_second"] = json!(self.per_second(stage.seconds));
            }
            if let Some(rate) = stage.megabytes_per_second() {
                value["megabytes_per_second"] = json!(rate);
            }
            value["share"] = json!(stage.seconds / self.seconds);
            value
        });
        let stages: Vec<Value> = stages.collect();
        let mut value = json!(self);
        value["stages"] = json!(stages);
        value["images_per_second"] = json!(self.per_second(self.seconds));
        value["peak_bytes"] = json!(self.peak_bytes());
        value
    }
}

impl Stage {
    /// A statement.
    pub(crate) fn new(name: &str, seconds: f64) -> Self {
        Self {
            name: name.to_owned(),
            is_part: false,
            seconds,
            bytes: None,
            is_per_image: true,
            peak_bytes: None,
        }
    }

    /// A part of a statement.
    pub(crate) fn part(name: &str, seconds: f64) -> Self {
        Self {
            is_part: true,
            ..Self::new(name, seconds)
        }
    }

    /// Of which it makes no sense to say images a second.
    pub(crate) fn fixed(self) -> Self {
        Self {
            is_per_image: false,
            ..self
        }
    }

    pub(crate) fn with_bytes(self, bytes: u64) -> Self {
        Self {
            bytes: Some(bytes),
            ..self
        }
    }

    pub(crate) fn megabytes_per_second(&self) -> Option<f64> {
        let bytes = self.bytes? as f64;
        (self.seconds > 0.0).then(|| bytes / 1e6 / self.seconds)
    }
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Day of the measurement.
    pub(crate) date: String,
    pub(crate) machine: Machine,
    pub(crate) setup: Setup,
    /// Folders that the images lie in.
    pub(crate) folders: u64,
    pub(crate) jobs: Vec<Job>,
}

impl Report {
    /// The content of a file that [`parse`](Self::parse) reads.
    pub(crate) fn json(&self) -> Value {
        let jobs: Vec<Value> = self.jobs.iter().map(Job::json).collect();
        let mut value = json!(self);
        value["jobs"] = json!(jobs);
        value
    }

    /// # Errors
    /// When it is no such file.
    pub(crate) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}
