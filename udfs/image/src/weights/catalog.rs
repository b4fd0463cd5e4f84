//! What a [`WeightsFolder`] holds and can be asked to fetch, by the names that people use.

use std::fs;
use std::io;
use std::path::Path;

use super::access::WeightsAccess;
use super::cached::{CachedWeights, FileState, FileStatus, Verdict};
use super::download::Patience;
use super::folder::WeightsFolder;
use super::model_folder;
use super::place::unreadable;
use super::spec::WeightsSpec;
use crate::error::{Error, Result};
use crate::models::{Architecture, OnnxSpec, Published, TransformerSpec};

impl WeightsFolder {
    /// Downloads the weights of a network unless they are there and intact. For a URL, the server
    /// is asked whether it has another version.
    ///
    /// # Errors
    ///
    /// [`Error::Weights`] if they cannot be had, [`Error::Argument`] if they are none that are
    /// downloaded.
    pub fn fetch(
        &self,
        weights: &WeightsSpec,
        architecture: Architecture,
        access: &WeightsAccess,
    ) -> Result<CachedWeights> {
        let Some(file) = weights.remote(architecture)? else {
            return Err(Error::Argument(format!(
                "weights '{weights}' are not downloaded; expected 'imagenet' or a URL"
            )));
        };
        let place = self.place(&file.name);
        if place.file.is_file()
            && let Verdict::Damaged(why) = place.check(file.md5)?.0
        {
            log::warn!("{}: {why}; downloading it again", place.file.display());
            place
                .discard()
                .map_err(|error| self.unwritable(&file, &error))?;
        }
        self.obtain(&file, access, Patience::default())
    }

    /// Downloads the files of a transformer unless they are there and intact; a folder of this machine has
    /// none that are downloaded.
    ///
    /// # Errors
    ///
    /// [`Error::Weights`] if they cannot be had.
    pub fn fetch_transformer(
        &self,
        spec: &TransformerSpec,
        access: &WeightsAccess,
    ) -> Result<Vec<CachedWeights>> {
        model_folder::fetch(spec, self.path(), access)
    }

    /// Downloads an ONNX file and those that belong to it unless they are there and intact; a file of this
    /// machine has none that are downloaded.
    ///
    /// # Errors
    ///
    /// [`Error::Weights`] if they cannot be had, [`Error::Argument`] in builds without the feature `onnx`.
    pub fn fetch_onnx(
        &self,
        spec: &OnnxSpec,
        access: &WeightsAccess,
    ) -> Result<Vec<CachedWeights>> {
        #[cfg(feature = "onnx")]
        return super::onnx_file::fetch(spec, self.path(), access);
        #[cfg(not(feature = "onnx"))]
        {
            let _ = access;
            Err(spec.lacking())
        }
    }

    /// Every file that `'imagenet'` may stand for, the weights of transformers with short names, then
    /// whatever else is there.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] if the folder cannot be read.
    pub fn files(&self) -> Result<Vec<FileStatus>> {
        let mut others = self.names()?;
        let keras = Architecture::ALL.into_iter();
        let keras = keras.map(|each| (Some(each.name()), each.keras_file().1.to_owned()));
        let mut names: Vec<(Option<&'static str>, String)> = keras.collect();
        for published in Published::ALL {
            let files = model_folder::remote_files(published)
                .into_iter()
                .enumerate();
            // The first are the weights; what is small is told of where it is there.
            let files = files.filter(|(index, file)| *index == 0 || others.contains(&file.name));
            names.extend(files.map(|(_, file)| (Some(published.name()), file.name)));
        }
        others.retain(|name| names.iter().all(|(_, other)| other != name));
        names.extend(others.into_iter().map(|name| (None, name)));
        let status = |(model, name): (Option<&'static str>, String)| {
            let place = self.place(&name);
            let length = |path: &Path| fs::metadata(path).map(|metadata| metadata.len()).ok();
            let (state, length) = match (length(&place.file), length(&place.partial.bytes)) {
                (Some(length), _) => (FileState::Cached, length),
                (None, Some(length)) => (FileState::Partial, length),
                (None, None) => (FileState::Absent, 0),
            };
            FileStatus {
                model,
                name,
                state,
                length,
                sha256: place.recorded().filter(|_| state == FileState::Cached),
            }
        };
        Ok(names.into_iter().map(status).collect())
    }

    /// Hashes every whole file and compares it with what it should be. Gives names, SHA-256 and
    /// verdicts.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] if the folder or a file cannot be read.
    pub fn verify(&self) -> Result<Vec<(String, String, Verdict)>> {
        let files = self.files()?.into_iter();
        files
            .filter(|file| file.state == FileState::Cached)
            .map(|file| {
                let mut known = Architecture::ALL.into_iter();
                let known = known.find(|each| each.keras_file().1 == file.name);
                let md5 = known.and_then(Architecture::keras_md5);
                let (verdict, sha256) = self.place(&file.name).check(md5)?;
                Ok((file.name, sha256, verdict))
            })
            .collect()
    }

    /// Names of the weights files that are there, whole or partial, in order: those that end as one,
    /// and those that were downloaded, however they end.
    fn names(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(self.path()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(self.path(), &error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(self.path(), &error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let name = match name
                .strip_suffix(".partial")
                .or_else(|| name.strip_suffix(".sha256"))
            {
                Some(name) => name,
                None if ends_as_weights(&name) => &name,
                None => continue,
            };
            names.push(name.to_owned());
        }
        names.sort();
        names.dedup();
        Ok(names)
    }
}

fn ends_as_weights(name: &str) -> bool {
    let extension = Path::new(name).extension().unwrap_or_default();
    ["h5", "hdf5", "keras", "onnx", "safetensors"]
        .iter()
        .any(|other| extension.eq_ignore_ascii_case(other))
}
