//! An ONNX file, found and read: with the files beside it that hold its numbers, and what says how pictures
//! become its input.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::access::WeightsAccess;
use super::address::FolderAddress;
use super::cached::{CachedWeights, RemoteFile};
use super::content::{self, Expected};
use super::digest::sha256_hex;
use super::fingerprint::Fingerprint;
use super::folder::WeightsFolder;
use super::model_folder::{PREPROCESSOR, Part};
use super::onnx_scan::{Scan, scan};
use super::spec::WeightsSpec;
use crate::error::{Error, Result};
use crate::models::OnnxSpec;
use crate::settings::ONNX_PREPROCESSING;

/// Longest file: no message of Protocol Buffers is longer.
const MOST_BYTES: u64 = (2 << 30) - 1;
/// Most bytes of the files beside it, as many as are fetched of one.
const MOST_BYTES_BESIDE: u64 = 8 << 30;
/// What many networks of torchvision want, as an example.
const EXAMPLE: &str = r#"{"size": {"shortest_edge": 256}, "resample": 2, "crop_size": 224, "rescale_factor": 0.00392156862745098, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}"#;

/// An ONNX file on this machine.
pub(crate) struct OnnxFile<'a> {
    spec: &'a OnnxSpec,
    place: Place<'a>,
    file: Part,
    preparation: Preparation,
}

/// What says how pictures become the input.
enum Preparation {
    Setting(String),
    File(Part),
}

/// What an ONNX file holds.
pub(crate) struct LoadedOnnx {
    pub(crate) origin: String,
    pub(crate) bytes: Vec<u8>,
    /// The files beside it, by their names.
    pub(crate) beside: Vec<(String, Arc<[u8]>)>,
    pub(crate) parameters: usize,
    pub(crate) sha256: String,
    /// Name of what says how pictures become the input, and what it says.
    pub(crate) preparation: (&'static str, String),
}

impl<'a> OnnxFile<'a> {
    /// Finds the file, and what says how pictures become its input. `weights` must not be said.
    ///
    /// # Errors
    ///
    /// [`Error::Weights`] that names the file that cannot be had, or asks how pictures become its input.
    pub(crate) fn resolve(
        spec: &'a OnnxSpec,
        weights: Option<&WeightsSpec>,
        folder: Option<&Path>,
        access: &'a WeightsAccess,
    ) -> Result<Self> {
        if let Some(weights) = weights {
            return Err(Error::Argument(format!(
                "{spec} has no weights '{weights}', but its own: leave the argument and the setting \
                 featurize.weights out"
            )));
        }
        let place = Place {
            spec,
            cache: WeightsFolder::locate(folder)?,
            access,
        };
        let file = place.part(&spec.address, Expected::Onnx)?;
        let preparation = match &spec.preprocessing {
            Some(text) => Preparation::Setting(text.clone()),
            None => match place.beside(PREPROCESSOR, Expected::Json) {
                Ok(part) => Preparation::File(part),
                Err(Error::Weights { message, .. }) => {
                    return Err(place.failed(format!(
                        "nothing says how pictures become the input of the network: there is no \
                         {PREPROCESSOR} beside the file ({message}), and no setting. Say it as that \
                         file would, for example, as many networks of torchvision want it, SET \
                         {ONNX_PREPROCESSING} = '{EXAMPLE}'"
                    )));
                }
                Err(error) => return Err(error),
            },
        };
        Ok(Self {
            spec,
            place,
            file,
            preparation,
        })
    }

    /// Identifies what [`load`](Self::load) would read, cheaply.
    pub(crate) fn fingerprint(&self) -> Result<Vec<Fingerprint>> {
        let preparation = match &self.preparation {
            Preparation::Setting(text) => Fingerprint::Cached {
                sha256: sha256_hex(text.as_bytes()),
            },
            Preparation::File(part) => part.fingerprint()?,
        };
        Ok(vec![self.file.fingerprint()?, preparation])
    }

    /// Reads the file, and those beside it.
    ///
    /// # Errors
    ///
    /// [`Error::Weights`] that names the file and says what is wrong with it.
    pub(crate) fn load(&self) -> Result<LoadedOnnx> {
        let failed = |message| self.place.failed(message);
        let bytes = read(&self.file, MOST_BYTES).map_err(failed)?;
        if let Some(what) = content::no_onnx(&bytes) {
            return Err(failed(what));
        }
        let Scan { parameters, files } = scan(&bytes).map_err(failed)?;
        let mut sha256 = sha256_hex(&bytes);
        if let Part::Cached(cached) = &self.file
            && sha256 != cached.sha256()
        {
            return Err(failed(format!(
                "the file has changed since this process first used it: it has SHA-256 {sha256}, and had \
                 {}; start the program again",
                cached.sha256()
            )));
        }
        let mut beside = Vec::new();
        let mut rest = MOST_BYTES_BESIDE;
        for name in files {
            let named = |why| failed(format!("its numbers are in {name}: {why}"));
            let part = self.place.beside(&name, Expected::Numbers)?;
            let bytes = read(&part, rest).map_err(named)?;
            if let Some(what) = content::no_numbers(&bytes) {
                return Err(named(what));
            }
            rest -= bytes.len() as u64;
            beside.push((name, Arc::from(bytes)));
        }
        if !beside.is_empty() {
            sha256 = self.manifest(sha256, &beside);
        }
        let preparation = match &self.preparation {
            Preparation::Setting(text) => (ONNX_PREPROCESSING, text.clone()),
            Preparation::File(part) => (PREPROCESSOR, part.text().map_err(failed)?),
        };
        Ok(LoadedOnnx {
            origin: self.spec.to_string(),
            bytes,
            beside,
            parameters,
            sha256,
            preparation,
        })
    }

    /// SHA-256 of what `sha256sum` prints of all files, in the order of their names.
    fn manifest(&self, sha256: String, beside: &[(String, Arc<[u8]>)]) -> String {
        let own = match &self.spec.address {
            FolderAddress::Path(path) => path.file_name().unwrap_or_default().to_string_lossy(),
            FolderAddress::Url(url) => url.file_name().into(),
        };
        let mut lines = vec![(own.into_owned(), sha256)];
        lines.extend(
            beside
                .iter()
                .map(|(name, bytes)| (name.clone(), sha256_hex(bytes))),
        );
        lines.sort();
        let lines = lines
            .into_iter()
            .map(|(name, sha256)| format!("{sha256}  {name}\n"));
        sha256_hex(lines.collect::<String>().as_bytes())
    }

    /// The error of something in the file.
    pub(crate) fn failed(&self, message: String) -> Error {
        self.place.failed(message)
    }
}

/// Downloads the file and what belongs to it unless it is there and intact, and gives the files.
///
/// # Errors
///
/// As [`OnnxFile::resolve`] and [`OnnxFile::load`].
pub(super) fn fetch(
    spec: &OnnxSpec,
    folder: &Path,
    access: &WeightsAccess,
) -> Result<Vec<CachedWeights>> {
    let place = Place {
        spec,
        cache: WeightsFolder::locate(Some(folder))?,
        access,
    };
    let file = place.part(&spec.address, Expected::Onnx)?;
    let bytes = read(&file, MOST_BYTES).map_err(|why| place.failed(why))?;
    let scan = scan(&bytes).map_err(|why| place.failed(why))?;
    let mut parts = vec![file];
    for name in &scan.files {
        parts.push(place.beside(name, Expected::Numbers)?);
    }
    // Whoever has a setting needs none.
    parts.extend(place.beside(PREPROCESSOR, Expected::Json).ok());
    let cached = parts.into_iter().filter_map(|part| match part {
        Part::Cached(cached) => Some(cached),
        Part::Local(_) | Part::Text(_) => None,
    });
    Ok(cached.collect())
}

/// Where a file is, and how it and its neighbours are had.
struct Place<'a> {
    spec: &'a OnnxSpec,
    cache: WeightsFolder,
    access: &'a WeightsAccess,
}

impl Place<'_> {
    fn part(&self, address: &FolderAddress, expected: Expected) -> Result<Part> {
        match address {
            FolderAddress::Path(path) => match std::fs::metadata(path) {
                Ok(metadata) if metadata.is_file() => Ok(Part::Local(path.clone())),
                Ok(_) => Err(self.failed(format!("{} is no file", path.display()))),
                Err(error) => Err(self.failed(format!(
                    "the file {} cannot be read: {error}",
                    path.display()
                ))),
            },
            FolderAddress::Url(url) => {
                let file = RemoteFile {
                    expected,
                    ..RemoteFile::at(url)
                };
                self.cache.shared(&file, self.access).map(Part::Cached)
            }
        }
    }

    /// A file in the same folder.
    fn beside(&self, name: &str, expected: Expected) -> Result<Part> {
        let address = match &self.spec.address {
            FolderAddress::Path(path) => Some(FolderAddress::Path(path.with_file_name(name))),
            FolderAddress::Url(url) => url.beside(name).map(FolderAddress::Url),
        };
        match address {
            Some(address) => self.part(&address, expected),
            None => Err(self.failed(format!("the address can have no {name} beside it"))),
        }
    }

    fn failed(&self, message: String) -> Error {
        Error::Weights {
            origin: self.spec.to_string(),
            message,
        }
    }
}

/// Reads a file of at most so many bytes.
fn read(part: &Part, most: u64) -> Result<Vec<u8>, String> {
    let Some(path) = part.path() else {
        return Err("the file is nowhere".to_owned());
    };
    let unreadable = |error| format!("the file cannot be read: {error}");
    let file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let mut bytes = Vec::new();
    if length <= most {
        file.take(most + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
    }
    match length.max(bytes.len() as u64) > most {
        true => Err(format!(
            "the file has {length} bytes; expected at most {most}"
        )),
        false => Ok(bytes),
    }
}
