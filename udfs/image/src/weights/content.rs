//! What a weights file is, by its bytes: a name proves nothing, and what servers and version control
//! leave in the place of a file often has the right one.

use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read, Seek};
use std::path::Path;

use zip::ZipArchive;

/// What can be read, for messages.
const READABLE: &str = "a .h5 or .keras file of Keras, or a .safetensors file";
/// The weights in Keras's archive of a whole model.
const KERAS_MEMBER: &str = "model.weights.h5";
/// As much of a file as tells what it is.
const HEAD: u64 = 4096;
/// No header of safetensors is longer, by its specification.
const MOST_HEADER: u64 = 100_000_000;
const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";
const GIT_LFS: &[u8] = b"version https://git-lfs.github.com/spec/";

/// What to do about PyTorch's own files.
const PICKLE: &str = "a pickle can run code when it is read, and is not: convert it in Python by \
                      safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')";
const SAVED_MODEL: &str = "load it in Python (keras.layers.TFSMLayer, tf.saved_model.load) into a \
                           model of keras.applications, and save_weights('w.weights.h5') there";

/// Formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Hdf5,
    Safetensors,
}

/// A file that is read.
pub(super) struct Content {
    pub(super) format: Format,
    /// The whole file.
    pub(super) file: Vec<u8>,
    /// The weights in it, where they are not the whole file.
    pub(super) member: Option<Vec<u8>>,
}

/// Reads a file of weights.
///
/// # Errors
///
/// What the file is, what was expected and what to do.
pub(super) fn read(path: &Path) -> Result<Content, String> {
    let Some(format) = identify(path)? else {
        let file = fs::read(path).map_err(unreadable)?;
        let mut archive = archive_of_weights(Cursor::new(&file))?;
        let member = archive.read_weights()?;
        return Ok(Content {
            format: Format::Hdf5,
            file,
            member: Some(member),
        });
    };
    Ok(Content {
        format,
        file: fs::read(path).map_err(unreadable)?,
        member: None,
    })
}

/// What a file that is downloaded must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Weights,
    /// A document beside them.
    Json,
    Onnx,
    /// Whatever lies beside an ONNX file: its bytes are those of numbers.
    #[cfg_attr(
        not(feature = "onnx"),
        expect(dead_code, reason = "nothing else has some")
    )]
    Numbers,
}

impl Expected {
    /// What a file of this name must be.
    pub(super) fn of_name(name: &str) -> Self {
        let lower = name.to_ascii_lowercase();
        if lower.ends_with(".json") {
            Self::Json
        } else if lower.ends_with(".onnx") {
            Self::Onnx
        } else {
            Self::Weights
        }
    }
}

/// Why a download cannot be what it should be.
pub(super) fn junk(path: &Path, expected: Expected, name: &str) -> Option<String> {
    if expected == Expected::Weights {
        return identify(path).err();
    }
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    match (read, expected) {
        (Err(error), _) => Some(unreadable(error)),
        (Ok(_), Expected::Onnx) => no_onnx(&head),
        (Ok(_), Expected::Numbers) => no_numbers(&head),
        (Ok(_), _) if head.trim_ascii_start().starts_with(b"{") => None,
        (Ok(_), _) => Some(format!("{name} is no JSON")),
    }
}

/// What a file that begins so is, if it is another than an ONNX model.
pub(super) fn no_onnx(head: &[u8]) -> Option<String> {
    if is_onnx(head) {
        return None;
    }
    let (what, instead) = match recognise(head, 0) {
        Ok(format) => {
            let what = match format {
                Format::Hdf5 => "a file of HDF5",
                Format::Safetensors => "a file of safetensors",
            };
            let instead = "give it as the weights of a network that has a name";
            (what.to_owned(), instead.to_owned())
        }
        Err(_) if head.starts_with(b"PK") => {
            ("a ZIP archive".to_owned(), "unpack it (unzip)".to_owned())
        }
        Err(_) => foreign(head)?,
    };
    Some(format!("this is {what}; expected an ONNX model: {instead}"))
}

/// What lies in the place of the numbers of an ONNX model, if they cannot begin so.
pub(super) fn no_numbers(head: &[u8]) -> Option<String> {
    let is_text = head.starts_with(GIT_LFS) || head.trim_ascii_start().starts_with(b"<");
    let (what, instead) = foreign(head).filter(|_| is_text)?;
    Some(format!(
        "this is {what}; expected the numbers of an ONNX model: {instead}"
    ))
}

fn is_onnx(head: &[u8]) -> bool {
    // The version of the format, then mostly who wrote it.
    matches!(head, [8, 3..=15, 0x12, ..])
}

/// The format of a file of weights, by its first bytes; `None` of Keras's archive.
///
/// # Errors
///
/// What the file is, what was expected and what to do.
pub(super) fn identify(path: &Path) -> Result<Option<Format>, String> {
    if path.is_dir() {
        return Err(folder(path));
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let mut head = Vec::new();
    let taken = file.by_ref().take(HEAD).read_to_end(&mut head);
    taken.map_err(unreadable)?;
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        // A pickle of many gigabytes is known by the names in it.
        archive_of_weights(BufReader::new(file))?;
        return Ok(None);
    }
    let length = file.metadata().map_err(unreadable)?.len();
    recognise(&head, length).map(Some)
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn unreadable(error: io::Error) -> String {
    format!("the file cannot be read: {error}")
}

/// The format of a file that begins so, and is no ZIP archive.
fn recognise(head: &[u8], length: u64) -> Result<Format, String> {
    // HDF5 may stand behind a block of the user's, of 512 bytes or twice as many, and so on.
    let is_hdf5 = |at: usize| head.get(at..).is_some_and(|rest| rest.starts_with(HDF5));
    if is_hdf5(0) || [512, 1024, 2048].into_iter().any(is_hdf5) {
        return Ok(Format::Hdf5);
    }
    if let Some((header, rest)) = head.split_first_chunk::<8>()
        && u64::from_le_bytes(*header) <= MOST_HEADER
        && rest.first() == Some(&b'{')
    {
        return Ok(Format::Safetensors);
    }
    match foreign(head) {
        Some((what, instead)) => Err(refusal(&what, &instead)),
        None => Err(format!(
            "{length} bytes are not a whole HDF5 file, nor of another format that is known (they \
             begin with '{}'); expected {READABLE}",
            head.get(..16).unwrap_or(head).escape_ascii()
        )),
    }
}

/// What a file is that is not read, and what to do.
fn foreign(head: &[u8]) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let lower = text.to_ascii_lowercase();
    let again = || "download the file again, and look at what the server says".to_owned();
    Some(if head.is_empty() {
        ("an empty file (0 bytes)".to_owned(), again())
    } else if head.starts_with(GIT_LFS) {
        let size = text.lines().find_map(|line| line.strip_prefix("size "));
        let of = size.map_or_else(String::new, |size| format!(" to a file of {size} bytes"));
        let what = format!("a pointer of Git LFS{of}, not the file");
        (what, "run git lfs pull in its folder".to_owned())
    } else if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        let title = lower.find("<title>").map(|at| at + "<title>".len());
        let title = title.and_then(|at| text.get(at..)?.split('<').next());
        let title = title.map_or_else(String::new, |title| format!(" ('{}')", short(title)));
        let what = format!("a web page{title}");
        let instead = "download the file itself: on the Hugging Face hub its address has /resolve/ \
                       where the page has /blob/, on GitHub /raw/";
        (what, instead.to_owned())
    } else if lower.starts_with("<?xml") || lower.starts_with("<error") {
        let what = format!("an XML answer of a server: {}", short(text));
        (what, again())
    } else if text.starts_with('{') && text.contains("\"weight_map\"") {
        let what = "the index of weights in several files (shards)";
        let instead = "save them as one: in Python, update a dict with \
                       safetensors.torch.load_file(…) of each shard, then \
                       safetensors.torch.save_file(dict, 'weights.safetensors')";
        (what.to_owned(), instead.to_owned())
    } else if text.starts_with('{') {
        let what = format!("JSON: {}", short(text));
        let instead = "if it is a model's configuration, the weights are another file beside it";
        (what, instead.to_owned())
    } else if matches!(head, [0x80, 2..=5, ..]) {
        let what = "a Python pickle (PyTorch's .pth, .pt or .bin)";
        (what.to_owned(), PICKLE.to_owned())
    } else if head.get(4..8) == Some(b"TFL3") {
        let instead = "take the Keras file of the same network";
        ("a TensorFlow Lite model".to_owned(), instead.to_owned())
    } else if head.starts_with(&[8, 1, 0x12]) {
        let what = "the saved_model.pb of a TensorFlow SavedModel";
        (what.to_owned(), SAVED_MODEL.to_owned())
    } else if is_onnx(head) {
        let instead = "give it as the model, in a build with the feature 'onnx', or take the file that \
                       it was exported from";
        ("an ONNX model".to_owned(), instead.to_owned())
    } else if head.starts_with(b"\x93NUMPY") {
        let instead = "put the arrays of all layers into one file by safetensors.numpy.save_file";
        ("an array of NumPy".to_owned(), instead.to_owned())
    } else if head.starts_with(&[0x1f, 0x8b]) {
        let instead = "unpack it (gunzip, tar -x) and give what is in it";
        ("a file compressed by gzip".to_owned(), instead.to_owned())
    } else if head.get(257..262) == Some(b"ustar") {
        let instead = "unpack it (tar -x) and give what is in it";
        ("a tar archive".to_owned(), instead.to_owned())
    } else {
        return None;
    })
}

/// A ZIP archive that has the weights of a Keras model.
struct KerasArchive<R>(ZipArchive<R>);

/// # Errors
///
/// What other archive it is.
fn archive_of_weights<R: Read + Seek>(reader: R) -> Result<KerasArchive<R>, String> {
    let archive = ZipArchive::new(reader).map_err(|error| {
        let what = format!("a ZIP archive that is not whole ({error})");
        refusal(&what, "download the file again")
    })?;
    let names: Vec<String> = archive
        .file_names_raw()
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    let has = |name: &str| {
        let in_folder = format!("/{name}");
        names.iter().any(|n| n == name || n.ends_with(&in_folder))
    };
    if names.iter().any(|name| name == KERAS_MEMBER) {
        return Ok(KerasArchive(archive));
    }
    Err(if has("data.pkl") {
        let kind = if has("constants.pkl") {
            "a TorchScript program"
        } else {
            "a pickle"
        };
        refusal(
            &format!("{kind} of PyTorch (a ZIP archive with data.pkl)"),
            PICKLE,
        )
    } else if has("saved_model.pb") {
        refusal("a ZIP archive with a TensorFlow SavedModel", SAVED_MODEL)
    } else if names.iter().all(|name| name.ends_with(".npy")) && !names.is_empty() {
        let instead = "save the arrays by safetensors.numpy.save_file";
        refusal("an archive of NumPy arrays (.npz)", instead)
    } else {
        let shown: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
        let what = format!(
            "a ZIP archive without {KERAS_MEMBER}, with {} files ({})",
            names.len(),
            shown.join(", ")
        );
        refusal(
            &what,
            "unpack it (unzip) and give the weights file that is in it",
        )
    })
}

impl<R: Read + Seek> KerasArchive<R> {
    /// The HDF5 file, which Keras does not compress.
    fn read_weights(&mut self) -> Result<Vec<u8>, String> {
        let failed = |why: String| {
            format!(
                "{KERAS_MEMBER} in the .keras archive cannot be read: {why}; unpack it (unzip) and \
                 give {KERAS_MEMBER}"
            )
        };
        let mut member = self
            .0
            .by_name(KERAS_MEMBER)
            .map_err(|error| failed(error.to_string()))?;
        let mut bytes = Vec::new();
        let read = member.read_to_end(&mut bytes);
        read.map_err(|error| failed(error.to_string()))?;
        Ok(bytes)
    }
}

/// What a folder is that was given for a file.
fn folder(path: &Path) -> String {
    let has = |name: &str| path.join(name).is_file();
    if has("saved_model.pb") || has("keras_metadata.pb") {
        return refusal("the folder of a TensorFlow SavedModel", SAVED_MODEL);
    }
    let mut files: Vec<String> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            let lower = name.to_ascii_lowercase();
            [".h5", ".hdf5", ".keras", ".safetensors"]
                .iter()
                .any(|end| lower.ends_with(end))
        })
        .collect();
    files.sort();
    let instead = match files.first() {
        Some(file) => format!(
            "give the path of the file, such as {}",
            path.join(file).display()
        ),
        None => "there is none in it".to_owned(),
    };
    refusal("a folder", &instead)
}

fn refusal(what: &str, instead: &str) -> String {
    format!("this is {what}; expected {READABLE}: {instead}")
}

/// The beginning of a text on one line.
fn short(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(80).collect()
}

/// What a file is that ends so, if none that is read would: it is not worth a download.
pub(super) fn foreign_ending(name: &str) -> Option<&'static str> {
    let (_, ending) = name.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "bin" | "pt" | "pth" | "pkl" | "pickle" | "ckpt" => "a pickle of PyTorch",
        "json" => "a configuration, or the index of weights in several files",
        "pb" => "a model of TensorFlow",
        "tflite" => "a model of TensorFlow Lite",
        "onnx" => "an ONNX model",
        "npy" | "npz" => "arrays of NumPy",
        "gguf" | "msgpack" => "weights of another library",
        "gz" | "tgz" | "tar" | "xz" | "bz2" | "zst" | "7z" => "an archive",
        "html" | "htm" => "a web page",
        _ => return None,
    })
}
