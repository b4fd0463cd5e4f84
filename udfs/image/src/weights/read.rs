//! Weights in memory: a file that was read, or a recipe.

use std::path::Path;

use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use candle_nn::var_builder::SimpleBackend;

use super::content::{self, Content, Format};
use super::digest::sha256_hex;
use super::file::{FileTensors, OpenFile, Stoppable, TensorFile};
use super::hdf5::KerasFile;
use super::safetensors::SafetensorsFile;
use super::seeded::Seeded;
use super::strangers;
use crate::cancel;
use crate::conventions::{Conventions, Library};
use crate::error::{Error, Result};
use crate::models::Architecture;

/// Numbers for one network.
#[derive(Debug)]
pub struct Weights {
    origin: String,
    sha256: String,
    conventions: Conventions,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Seeded(Seeded),
    File(OpenFile),
}

impl Weights {
    /// Numbers that a recipe makes.
    pub(super) fn seeded(architecture: Architecture) -> Self {
        Self {
            origin: "'seeded'".to_owned(),
            sha256: Seeded::sha256(architecture),
            conventions: Conventions::new(architecture, Library::Keras),
            source: Source::Seeded(Seeded),
        }
    }

    /// Reads a file, whose bytes tell its format.
    pub(super) fn read(path: &Path, origin: String, architecture: Architecture) -> Result<Self> {
        let Content {
            format,
            file,
            member,
        } = content::read(path).map_err(|message| Error::Weights {
            origin: origin.clone(),
            message,
        })?;
        let sha256 = sha256_hex(&file);
        let bytes = member.unwrap_or(file);
        let (file, library): (Box<dyn TensorFile>, _) = match format {
            Format::Hdf5 => (
                Box::new(KerasFile::parse(&origin, bytes, architecture)?),
                Library::Keras,
            ),
            Format::Safetensors => {
                let file = SafetensorsFile::parse(&origin, bytes)?;
                let library = file.library();
                (Box::new(file), library)
            }
        };
        Ok(Self {
            origin,
            sha256,
            conventions: Conventions::new(architecture, library),
            source: Source::File(OpenFile::new(file, architecture)),
        })
    }

    /// The file, or the name of the recipe.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// SHA-256 of the file, or of the text that defines the recipe, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What the numbers expect of the network around them.
    pub fn conventions(&self) -> Conventions {
        self.conventions
    }

    /// The tensors, by Keras's names and in Keras's layout, in f32.
    pub fn var_builder(&self, device: &Device) -> VarBuilder<'_> {
        let backend: Box<dyn SimpleBackend + '_> = match &self.source {
            Source::Seeded(seeded) => Box::new(*seeded),
            Source::File(file) => Box::new(FileTensors(file)),
        };
        let cancel = cancel::current();
        let backend = Box::new(Stoppable { backend, cancel });
        VarBuilder::from_backend(backend, DType::F32, device.clone())
    }

    /// Checks what a network that has read its variables has left in the file.
    ///
    /// # Errors
    ///
    /// [`Error::Weights`] if it is more than a classifier.
    pub(crate) fn check_rest(&self, architecture: Architecture) -> Result<()> {
        let strangers = match &self.source {
            Source::Seeded(_) => None,
            Source::File(file) => strangers::strangers(file),
        };
        match strangers {
            Some(what) => Err(self.misfit(architecture, &what)),
            None => Ok(()),
        }
    }

    /// The error that a network cannot be built.
    pub(crate) fn incomplete(&self, architecture: Architecture, what: &str) -> Error {
        let resemblance = match &self.source {
            Source::Seeded(_) => String::new(),
            Source::File(file) => strangers::resemblance(file),
        };
        self.misfit(architecture, &format!("{what}{resemblance}"))
    }

    fn misfit(&self, architecture: Architecture, what: &str) -> Error {
        Error::Weights {
            origin: self.origin.clone(),
            message: format!("do not fit {architecture}: {what}"),
        }
    }
}
