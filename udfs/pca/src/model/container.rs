//! Named `f64` tensors and metadata as bytes, in the [safetensors] layout, with a version and a
//! checksum: what models are stored as.
//!
//! [safetensors]: https://github.com/huggingface/safetensors

use crate::error::{PcaError, Result};
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write;

/// The newest version of the layout that this build writes and reads; it reads all older ones. What the
/// first version can say is written in the first version, so that older builds read it too.
pub const FORMAT_VERSION: u32 = 2;

/// Whether the mean is subtracted: metadata that came with version 2.
pub(crate) const WITH_MEAN: &str = "with_mean";
/// How many components were asked for: metadata that came with version 2.
pub(crate) const N_REQUESTED: &str = "n_requested";

/// A tensor: its name, shape and values, row-major.
pub(crate) type Tensor<'a> = (&'static str, &'a [usize], &'a [f64]);

/// Metadata that is the model's own, in a fixed order.
pub(crate) type Metadata = [(&'static str, String)];

/// The first version that has all these entries.
fn version(metadata: &Metadata) -> u32 {
    let is_newer = |(key, _): &(&str, String)| [WITH_MEAN, N_REQUESTED].contains(key);
    if metadata.iter().any(is_newer) { 2 } else { 1 }
}

/// Writes a model. The same content always gives the same bytes. Names and values need no escaping:
/// they are names of this crate, numbers and booleans.
pub(crate) fn encode(format: &str, metadata: &Metadata, tensors: &[Tensor<'_>]) -> Vec<u8> {
    let digest = digest(format, metadata, tensors);
    // Written by hand because the safetensors crate writes metadata in the order of a HashMap.
    let version = version(metadata);
    let mut header =
        format!("{{\"__metadata__\":{{\"format\":\"{format}\",\"version\":\"{version}\",");
    // Writing to a String cannot fail.
    for (key, value) in metadata {
        let _ = write!(header, "\"{key}\":\"{value}\",");
    }
    let _ = write!(header, "\"sha256\":\"{digest}\"}}");
    let mut offset = 0;
    for (name, shape, values) in tensors {
        let end = offset + size_of_val(*values);
        let _ = write!(
            header,
            ",\"{name}\":{{\"dtype\":\"F64\",\"shape\":{shape:?},\"data_offsets\":[{offset},{end}]}}"
        );
        offset = end;
    }
    header.push('}');
    // Padded so that the tensors are aligned.
    let padded = header.len().next_multiple_of(size_of::<f64>());
    let mut bytes = Vec::with_capacity(size_of::<u64>() + padded + offset);
    bytes.extend((padded as u64).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.resize(size_of::<u64>() + padded, b' ');
    for (_, _, values) in tensors {
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    }
    bytes
}

/// SHA-256 over the lines `key=value` of the metadata, beginning with format and version, then for each
/// tensor a line `name=length` and its bytes.
fn digest(format: &str, metadata: &Metadata, tensors: &[Tensor<'_>]) -> String {
    let mut hasher = Sha256::new();
    let version = version(metadata);
    hasher.update(format!("format={format}\nversion={version}\n"));
    for (key, value) in metadata {
        hasher.update(format!("{key}={value}\n"));
    }
    let mut buffer = Vec::new();
    for (name, _, values) in tensors {
        hasher.update(format!("{name}={}\n", values.len()));
        for chunk in values.chunks(4096) {
            buffer.clear();
            buffer.extend(chunk.iter().flat_map(|v| v.to_le_bytes()));
            hasher.update(&buffer);
        }
    }
    let mut hex = String::with_capacity(64);
    for byte in hasher.finalize() {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// The content of bytes that [`encode`] wrote, or claims of others to be checked.
pub(crate) struct Reader<'a> {
    metadata: HashMap<String, String>,
    tensors: SafeTensors<'a>,
}

impl<'a> Reader<'a> {
    /// Parses bytes of this format and version. Nothing larger than the input is allocated.
    pub(crate) fn try_new(bytes: &'a [u8], format: &str) -> Result<Self> {
        let malformed = |e| PcaError::Format(format!("{} bytes, {e}", bytes.len()));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(malformed)?;
        let metadata = header
            .metadata()
            .clone()
            .ok_or_else(|| PcaError::Format("its header has no metadata".into()))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(malformed)?;
        let reader = Self { metadata, tensors };
        let found = reader.text("format")?;
        if found != format {
            return Err(PcaError::Format(format!(
                "its format is '{found}' instead of '{format}'"
            )));
        }
        let version = reader.text("version")?;
        if !(1..=FORMAT_VERSION).any(|known| version == known.to_string()) {
            return Err(PcaError::Version {
                found: version.to_string(),
                supported: FORMAT_VERSION,
            });
        }
        Ok(reader)
    }

    /// A value of the metadata.
    pub(crate) fn text(&self, key: &str) -> Result<&str> {
        self.metadata
            .get(key)
            .map(String::as_str)
            .ok_or_else(|| PcaError::Format(format!("its metadata has no '{key}'")))
    }

    /// A count or a boolean of the metadata.
    pub(crate) fn parse<V: std::str::FromStr>(&self, key: &str) -> Result<V> {
        let text = self.text(key)?;
        text.parse()
            .map_err(|_| PcaError::Format(format!("its metadata has {key} = '{text}'")))
    }

    /// The same, if it is there.
    pub(crate) fn parse_if_there<V: std::str::FromStr>(&self, key: &str) -> Result<Option<V>> {
        self.metadata.get(key).map(|_| self.parse(key)).transpose()
    }

    /// Values and shape of a tensor.
    pub(crate) fn tensor(&self, name: &str) -> Result<(Vec<f64>, Vec<usize>)> {
        let view = self
            .tensors
            .tensor(name)
            .map_err(|e| PcaError::Format(e.to_string()))?;
        if view.dtype() != Dtype::F64 {
            return Err(PcaError::Format(format!(
                "tensor {name} is of type {} instead of F64",
                view.dtype()
            )));
        }
        let (values, _) = view.data().as_chunks();
        let values = values.iter().map(|b| f64::from_le_bytes(*b)).collect();
        Ok((values, view.shape().to_vec()))
    }

    /// Checks that the checksum is that of this content.
    pub(crate) fn verify(
        &self,
        format: &str,
        metadata: &Metadata,
        tensors: &[Tensor<'_>],
    ) -> Result<()> {
        if self.text("sha256")? == digest(format, metadata, tensors) {
            return Ok(());
        }
        Err(PcaError::Format(
            "its checksum does not match its content, so it has been damaged or edited".into(),
        ))
    }
}
