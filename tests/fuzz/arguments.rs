//! What the command line asks for.

use std::path::PathBuf;
use std::time::Duration;

use crate::targets;

#[derive(Debug)]
pub(crate) struct Arguments {
    /// Names of the targets.
    pub(crate) targets: Vec<&'static str>,
    /// How long each of them runs.
    pub(crate) time: Duration,
    /// Most inputs of each.
    pub(crate) inputs: u64,
    /// Where the random numbers begin. The same seed and corpus give the same inputs.
    pub(crate) seed: u64,
    /// A file that is the only input.
    pub(crate) replay: Option<PathBuf>,
    /// Whether this process is one that the supervisor has started.
    pub(crate) is_worker: bool,
}

impl Arguments {
    /// # Errors
    /// What is wrong, and what there is.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self {
            targets: vec![],
            time: Duration::from_secs(5),
            inputs: u64::MAX,
            seed: 1,
            replay: None,
            is_worker: false,
        };
        while let Some(word) = words.next() {
            let mut number = || {
                let value = words.next().unwrap_or_default();
                let number = value.parse::<u64>();
                number.map_err(|_| format!("{word}: expected a number, found '{value}'"))
            };
            match word.as_str() {
                "--seconds" => arguments.time = Duration::from_secs(number()?),
                "--inputs" => arguments.inputs = number()?,
                "--seed" => arguments.seed = number()?,
                "--replay" => arguments.replay = words.next().map(PathBuf::from),
                "--worker" => arguments.is_worker = true,
                name => match targets::NAMES.iter().find(|known| **known == name) {
                    Some(name) => arguments.targets.push(name),
                    None => {
                        return Err(format!(
                            "unknown target or option '{name}'; the targets are {}; the options --seconds, \
                             --inputs, --seed and --replay FILE",
                            targets::NAMES.join(", ")
                        ));
                    }
                },
            }
        }
        if arguments.targets.is_empty() {
            arguments.targets = targets::NAMES.to_vec();
        }
        Ok(arguments)
    }
}
