//! What the command line asks for.

use std::error::Error;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) const USAGE: &str = "\
cargo bench --bench pipeline -- [ARGUMENTS]

  --images N        images to draw (3110)
  --size PX|WxH     their size in pixels (100x100)
  --seed N          other pictures (0)
  --folder DIR      the .jpg files below this folder instead of drawn ones
  --latency MS      how long the S3 server waits before each answer (30)
  --model NAMES     vgg16, mobilenet_v2 or both, separated by a comma (both)
  --components K    components of the PCA, or the share of the variance to keep (0.9)
  --rounds N        runs of each job, the middle one of which is shown (1)
  --json FILE       writes the figures there too
  --compare FILE    prints ratios to the figures that --json wrote earlier
  --update-guide   writes the tables into src/guide/performance.md
  --test            few images, MobileNetV2, little latency: does it run?
  --help            this text";

/// What the PySpark job was reported for, and the guide's table has.
pub(crate) const GUIDE_IMAGES: usize = 3110;

/// Networks, by their names in SQL.
const MODELS: [&str; 2] = ["vgg16", "mobilenet_v2"];

/// Where the images come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Data {
    /// They are drawn.
    Drawn {
        images: usize,
        width: usize,
        height: usize,
        seed: u64,
    },
    /// They lie here.
    Folder(PathBuf),
}

/// What is measured; the same for the reports of two runs that can be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) data: Data,
    pub(crate) latency_ms: u64,
    /// As it stands in SQL.
    pub(crate) components: String,
}

/// A whole command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) setup: Setup,
    pub(crate) models: Vec<String>,
    pub(crate) rounds: usize,
    pub(crate) json: Option<PathBuf>,
    pub(crate) compare: Option<PathBuf>,
    pub(crate) update_guide: bool,
    pub(crate) help: bool,
}

impl Arguments {
    fn new() -> Self {
        Self {
            setup: Setup {
                data: Data::Drawn {
                    images: GUIDE_IMAGES,
                    width: 100,
                    height: 100,
                    seed: 0,
                },
                latency_ms: 30,
                components: "0.9".to_owned(),
            },
            models: MODELS.map(str::to_owned).to_vec(),
            rounds: 1,
            json: None,
            compare: None,
            update_guide: false,
            help: false,
        }
    }

    /// Small and quick.
    fn test() -> Self {
        let mut arguments = Self::new();
        arguments.setup.data = Data::Drawn {
            images: 24,
            width: 64,
            height: 64,
            seed: 0,
        };
        arguments.setup.latency_ms = 2;
        arguments.models = vec!["mobilenet_v2".to_owned()];
        arguments
    }

    /// Parses the words after the program's name. None at all is what `cargo test --all-targets` gives
    /// and means the same as `--test`.
    ///
    /// # Errors
    /// When a word is no argument, or its value is none for it.
    pub(crate) fn parse(words: &[String]) -> Result<Self, Box<dyn Error>> {
        if words.is_empty() || words.iter().any(|word| word == "--test") {
            let other = |word: &&String| !["--test", "--bench"].contains(&word.as_str());
            return match words.iter().find(other) {
                Some(word) => Err(format!("--test takes no other argument, found '{word}'").into()),
                None => Ok(Self::test()),
            };
        }
        let mut arguments = Self::new();
        let (mut drawn, mut folder) = (Drawn::default(), None);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (name, given) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (word.as_str(), None),
            };
            let mut value = || {
                let value = given.or_else(|| words.next().map(String::as_str));
                value
                    .filter(|value| !value.is_empty() && !value.starts_with("--"))
                    .ok_or_else(|| format!("{name} needs a value\n\n{USAGE}"))
            };
            match name {
                "--images" => drawn.images = Some(count(name, value()?)?),
                "--size" => drawn.size = Some(size(name, value()?)?),
                "--seed" => drawn.seed = Some(number(name, value()?)?),
                "--folder" => folder = Some(PathBuf::from(value()?)),
                "--latency" => arguments.setup.latency_ms = number(name, value()?)?,
                "--model" => arguments.models = models(name, value()?)?,
                "--components" => arguments.setup.components = components(name, value()?)?,
                "--rounds" => arguments.rounds = count(name, value()?)?,
                "--json" => arguments.json = Some(value()?.into()),
                "--compare" => arguments.compare = Some(value()?.into()),
                "--update-guide" => arguments.update_guide = true,
                "--help" | "-h" => arguments.help = true,
                // Cargo passes this one itself.
                "--bench" => {}
                _ => return Err(format!("unknown argument '{word}'\n\n{USAGE}").into()),
            }
        }
        arguments.setup.data = match folder {
            Some(folder) => drawn.or_folder(folder)?,
            None => drawn.data(),
        };
        arguments.check()?;
        Ok(arguments)
    }

    /// What would fail only after all images have gone through the network.
    fn check(&self) -> Result<(), String> {
        let usual = Self::new();
        if self.update_guide && (&self.setup, &self.models) != (&usual.setup, &usual.models) {
            return Err(format!(
                "--update-guide is for {GUIDE_IMAGES} drawn images and all else as it is by default: \
                 give --rounds only"
            ));
        }
        if let Data::Drawn { images, .. } = self.setup.data {
            if images < 2 {
                return Err("--images: a PCA needs 2 at least".to_owned());
            }
            let features = match self.models.iter().any(|model| model == "mobilenet_v2") {
                true => 1280,
                false => 25_088,
            };
            let most = images.min(features);
            if self.setup.components.parse().is_ok_and(|k: usize| k > most) {
                return Err(format!(
                    "--components: {images} images of {features} features have {most} at most"
                ));
            }
        }
        Ok(())
    }
}

/// What is said of the pictures to draw.
#[derive(Default)]
struct Drawn {
    images: Option<usize>,
    size: Option<(usize, usize)>,
    seed: Option<u64>,
}

impl Drawn {
    fn data(&self) -> Data {
        let (width, height) = self.size.unwrap_or((100, 100));
        Data::Drawn {
            images: self.images.unwrap_or(GUIDE_IMAGES),
            width,
            height,
            seed: self.seed.unwrap_or(0),
        }
    }

    fn or_folder(&self, folder: PathBuf) -> Result<Data, String> {
        let said = [
            ("--images", self.images.is_some()),
            ("--size", self.size.is_some()),
            ("--seed", self.seed.is_some()),
        ];
        match said.iter().find(|(_, said)| *said) {
            Some((name, _)) => Err(format!("{name} is of drawn images: not with --folder")),
            None => Ok(Data::Folder(folder)),
        }
    }
}

fn number(name: &str, value: &str) -> Result<u64, String> {
    let wrong = |_| format!("{name}: expected a whole number, found '{value}'");
    value.parse().map_err(wrong)
}

fn count(name: &str, value: &str) -> Result<usize, String> {
    let number = value.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("{name}: expected a whole number of at least 1, found '{value}'"))
}

fn size(name: &str, value: &str) -> Result<(usize, usize), String> {
    let (width, height) = value.split_once(['x', '×']).unwrap_or((value, value));
    let side = |text: &str| text.parse().ok().filter(|side| (1..=10_000).contains(side));
    match (side(width), side(height)) {
        (Some(width), Some(height)) => Ok((width, height)),
        _ => Err(format!(
            "{name}: expected pixels, such as 100 or 500x375, each of 1 to 10000, found '{value}'"
        )),
    }
}

fn models(name: &str, value: &str) -> Result<Vec<String>, String> {
    let mut models: Vec<String> = vec![];
    for model in value.split(',') {
        if !MODELS.contains(&model) {
            let known = MODELS.join(" and ");
            return Err(format!("{name}: '{model}' is none of {known}"));
        }
        if !models.iter().any(|other| other == model) {
            models.push(model.to_owned());
        }
    }
    Ok(models)
}

fn components(name: &str, value: &str) -> Result<String, String> {
    let is_count = value.parse::<usize>().is_ok_and(|count| count > 0);
    let is_ratio = value
        .parse::<f64>()
        .is_ok_and(|ratio| ratio > 0.0 && ratio < 1.0);
    if is_count || is_ratio {
        Ok(value.to_owned())
    } else {
        Err(format!(
            "{name}: expected a number of components, or a share between 0 and 1, found '{value}'"
        ))
    }
}
