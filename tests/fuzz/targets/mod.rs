//! What is fuzzed: everything that bytes or texts from outside come into.

mod archives;
mod arguments;
mod call;
mod folders;
mod locations;
mod onnx;
mod parts;
mod pca;
mod pictures;
mod scripts;
mod sink;
mod store;
mod weights;

use std::path::{Path, PathBuf};

/// Code that takes bytes from outside.
pub(crate) trait Target {
    /// Good inputs, and bad ones of note.
    fn seeds(&self) -> Vec<Vec<u8>>;

    /// Words that mean something in these inputs.
    fn tokens(&self) -> &[&[u8]] {
        &[]
    }

    /// Mends what would keep damage from being looked at, such as checksums.
    fn repair(&self, _input: &mut Vec<u8>) {}

    /// Most bytes that an input may take while it is worked on.
    fn most_memory(&self, input: &[u8]) -> usize;

    /// Works on an input and tells in words what came of it.
    ///
    /// # Errors
    /// The law that does not hold.
    fn run(&mut self, input: &[u8]) -> Result<String, String>;
}

macro_rules! targets {
    ($($(#[$only:meta])* $name:literal => $make:expr),+ $(,)?) => {
        /// The names of all targets.
        pub(crate) const NAMES: &[&str] = &[$($(#[$only])* $name),+];

        /// The target of this name, which is one of [`NAMES`].
        pub(crate) fn make(name: &str) -> Box<dyn Target> {
            match name {
                $($(#[$only])* $name => Box::new($make),)+
                other => panic!("there is no target {other}"),
            }
        }
    };
}

targets! {
    "pictures" => pictures::Pictures::new(),
    "hdf5" => weights::WeightFiles::hdf5(),
    "safetensors" => weights::WeightFiles::safetensors(),
    "keras" => weights::WeightFiles::keras(),
    "folders" => folders::Folders::new(),
    "preprocessors" => folders::Preprocessors,
    #[cfg(feature = "onnx")]
    "onnx" => onnx::OnnxFiles::new(),
    "pca_models" => pca::models::Models::new(),
    "pca_states" => pca::states::States::pca(),
    "scalers" => pca::models::Scalers::new(),
    "scaler_states" => pca::states::States::scaler(),
    "sink" => sink::Sink::new(),
    "locations" => locations::Locations::new(),
    "uris" => locations::Uris::new(),
    "arguments" => arguments::Arguments,
    "settings" => arguments::Settings,
    "scripts" => scripts::Scripts::new(),
    "zip" => archives::Archives::zip(),
    "tar" => archives::Archives::tar(),
    "tgz" => archives::Archives::tgz(),
}

/// A folder of test data of a package of this workspace.
fn data(package: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("udfs")
        .join(package)
        .join("tests/data")
}

/// The files below a folder, in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    files
}
