//! A model as bytes, in the [safetensors] layout.
//!
//! | tensor (all F64) | shape |
//! |---|---|
//! | `components` | k × d |
//! | `explained_variance`, `explained_variance_ratio` | k |
//! | `mean`, `scale` | d |
//!
//! The metadata holds `format` = `datafusion-featurize.pca`, `version`, `n_samples`, `n_null_rows`,
//! `convention`, `scaled`, and `sha256`: the digest of all of the above. The same model always gives the
//! same bytes.
//!
//! [safetensors]: https://github.com/huggingface/safetensors

use crate::error::{PcaError, Result};
use crate::model::PcaModel;
use crate::options::Convention;
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write;

const FORMAT: &str = "datafusion-featurize.pca";

/// Version of the layout that this build writes, and the only one that it reads.
pub const FORMAT_VERSION: u32 = 1;

const MEAN: &str = "mean";
const SCALE: &str = "scale";
const COMPONENTS: &str = "components";
const VARIANCE: &str = "explained_variance";
const RATIO: &str = "explained_variance_ratio";

impl PcaModel {
    /// Writes the model in the safetensors layout.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (k, d) = (self.n_components(), self.n_features());
        let tensors: [(&str, &[usize], &[f64]); 5] = [
            (COMPONENTS, &[k, d], &self.components),
            (VARIANCE, &[k], &self.explained_variance),
            (RATIO, &[k], &self.explained_variance_ratio),
            (MEAN, &[d], &self.mean),
            (SCALE, &[d], &self.scale),
        ];
        let metadata = self.metadata(FORMAT_VERSION);
        let digest = self.digest(&metadata);

        // Written by hand because the order of the metadata in the safetensors crate is that of a
        // HashMap, and models should compare equal as bytes. Nothing here needs escaping.
        let mut header = String::from("{\"__metadata__\":{");
        for (key, value) in &metadata {
            header.push_str(&format!("\"{key}\":\"{value}\","));
        }
        header.push_str(&format!("\"sha256\":\"{digest}\"}}"));
        let mut offset = 0;
        for (name, shape, values) in &tensors {
            let end = offset + size_of_val(*values);
            header.push_str(&format!(
                ",\"{name}\":{{\"dtype\":\"F64\",\"shape\":{shape:?},\"data_offsets\":[{offset},{end}]}}"
            ));
            offset = end;
        }
        header.push('}');
        // Padded so that the tensors are aligned.
        let padded = header.len().next_multiple_of(size_of::<f64>());
        let mut bytes = Vec::with_capacity(size_of::<u64>() + padded + offset);
        bytes.extend((padded as u64).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.resize(size_of::<u64>() + padded, b' ');
        for (_, _, values) in &tensors {
            bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        }
        bytes
    }

    /// Reads a model that [`Self::encode`] wrote.
    ///
    /// # Errors
    /// If the bytes are not such a model, were written by another version of the layout, or have been
    /// damaged. No bytes make it panic, and nothing larger than the input is allocated.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let (_, header) = SafeTensors::read_metadata(bytes)
            .map_err(|e| PcaError::Format(format!("{} bytes, {e}", bytes.len())))?;
        let metadata = header
            .metadata()
            .as_ref()
            .ok_or_else(|| PcaError::Format("its header has no metadata".into()))?;
        let text = |key: &str| field(metadata, key);
        if text("format")? != FORMAT {
            return Err(PcaError::Format(format!(
                "its format is '{}' instead of '{FORMAT}'",
                text("format")?
            )));
        }
        let version = text("version")?;
        if version != FORMAT_VERSION.to_string() {
            return Err(PcaError::Version {
                found: version.to_string(),
                supported: FORMAT_VERSION,
            });
        }
        let number = |key: &str| {
            text(key)?.parse::<u64>().map_err(|e| {
                PcaError::Format(format!(
                    "metadata {key} = '{}': {e}",
                    metadata_value(metadata, key)
                ))
            })
        };
        let convention = Convention::try_from_name(text("convention")?)
            .map_err(|e| PcaError::Format(e.to_string()))?;
        let scaled = text("scaled")?
            .parse()
            .map_err(|_| PcaError::Format("metadata scaled is neither true nor false".into()))?;

        let tensors =
            SafeTensors::deserialize(bytes).map_err(|e| PcaError::Format(e.to_string()))?;
        let (mean, mean_shape) = tensor(&tensors, MEAN)?;
        let (explained_variance, variance_shape) = tensor(&tensors, VARIANCE)?;
        let (components, components_shape) = tensor(&tensors, COMPONENTS)?;
        let shapes = [&mean_shape[..], &variance_shape, &components_shape];
        let (k, d) = (explained_variance.len(), mean.len());
        if shapes != [&[d][..], &[k], &[k, d]] {
            return Err(PcaError::Format(format!(
                "tensors mean, explained_variance and components have the shapes {mean_shape:?}, \
                 {variance_shape:?} and {components_shape:?} instead of [d], [k] and [k, d]"
            )));
        }
        let model = Self {
            n_samples: number("n_samples")?,
            null_rows: number("n_null_rows")?,
            convention,
            scaled,
            mean,
            scale: tensor(&tensors, SCALE)?.0,
            components,
            explained_variance,
            explained_variance_ratio: tensor(&tensors, RATIO)?.0,
        };
        model.validate()?;
        let digest = model.digest(&model.metadata(FORMAT_VERSION));
        if digest != text("sha256")? {
            return Err(PcaError::Format(
                "its checksum does not match its content, so it has been damaged or edited".into(),
            ));
        }
        Ok(model)
    }

    fn metadata(&self, version: u32) -> [(&'static str, String); 6] {
        [
            ("format", FORMAT.to_string()),
            ("version", version.to_string()),
            ("n_samples", self.n_samples.to_string()),
            ("n_null_rows", self.null_rows.to_string()),
            ("convention", self.convention.name().to_string()),
            ("scaled", self.scaled.to_string()),
        ]
    }

    /// SHA-256 over the lines `key=value` of the metadata, then for each tensor in the order of their
    /// names a line `name=length` and its bytes.
    fn digest(&self, metadata: &[(&str, String)]) -> String {
        let mut hasher = Sha256::new();
        for (key, value) in metadata {
            hasher.update(format!("{key}={value}\n"));
        }
        let tensors = [
            (COMPONENTS, &self.components),
            (VARIANCE, &self.explained_variance),
            (RATIO, &self.explained_variance_ratio),
            (MEAN, &self.mean),
            (SCALE, &self.scale),
        ];
        let mut buffer = Vec::new();
        for (name, values) in tensors {
            hasher.update(format!("{name}={}\n", values.len()));
            for chunk in values.chunks(4096) {
                buffer.clear();
                buffer.extend(chunk.iter().flat_map(|v| v.to_le_bytes()));
                hasher.update(&buffer);
            }
        }
        let mut hex = String::with_capacity(64);
        for byte in hasher.finalize() {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }
}

fn metadata_value<'a>(metadata: &'a HashMap<String, String>, key: &str) -> &'a str {
    metadata.get(key).map_or("", String::as_str)
}

fn field<'a>(metadata: &'a HashMap<String, String>, key: &str) -> Result<&'a str> {
    metadata
        .get(key)
        .map(String::as_str)
        .ok_or_else(|| PcaError::Format(format!("its metadata has no '{key}'")))
}

fn tensor(tensors: &SafeTensors<'_>, name: &str) -> Result<(Vec<f64>, Vec<usize>)> {
    let view = tensors
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn model() -> PcaModel {
        PcaModel::try_new(
            vec![1.0, 2.0, 3.0],
            vec![1.0, 0.5, 2.0],
            vec![1.0, 0.0, 0.0, 0.0, 0.6, 0.8],
            vec![2.0, 0.5],
            4.0,
            17,
        )
        .unwrap()
        .with_null_rows(3)
    }

    #[test]
    fn round_trip() {
        let bytes = model().encode();
        assert_eq!(PcaModel::decode(&bytes).unwrap(), model());
        assert_eq!(bytes, model().encode());
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(tensors.tensor("components").unwrap().shape(), [2, 3]);
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        let bytes = model().encode();
        for i in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[i] ^= 1;
            // Padding and the spelling of the header are free; the content is not.
            if let Ok(read) = PcaModel::decode(&damaged) {
                assert_eq!(read, model(), "byte {i}");
            }
        }
    }

    #[test]
    fn unknown_version_is_refused() {
        let bytes = model().encode();
        let text = b"\"version\":\"1\"";
        let at = bytes.windows(text.len()).position(|w| w == text).unwrap();
        let mut newer = bytes;
        newer[at + text.len() - 2] = b'2';
        assert_eq!(
            PcaModel::decode(&newer).unwrap_err().to_string(),
            "the PCA model has format version 2, but this build reads version 1: update \
             datafusion-featurize, or fit the model again"
        );
    }

    #[test]
    fn foreign_safetensors_are_refused() {
        let data = [0_u8; 8];
        let view = safetensors::tensor::TensorView::new(Dtype::F64, vec![1], &data).unwrap();
        let bytes = safetensors::serialize([("mean", view)], None).unwrap();
        let error = PcaModel::decode(&bytes).unwrap_err().to_string();
        assert!(error.contains("no metadata"), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(PcaModel::decode(&bytes).is_err());
        }

        #[test]
        fn no_damage_panics(at in 0_usize..2000, with in any::<[u8; 4]>(), cut in 0_usize..2000) {
            let mut bytes = model().encode();
            let len = bytes.len();
            for (i, b) in with.iter().enumerate() {
                bytes[(at + i) % len] = *b;
            }
            let _ = PcaModel::decode(&bytes);
            bytes.truncate(cut % len);
            prop_assert!(PcaModel::decode(&bytes).is_err());
        }

        #[test]
        fn no_header_panics(header in "\\{\"(mean|__metadata__)\":\\{\"(dtype|shape|data_offsets|format)\":(\"F64\"|\\[[0-9]{1,20},[0-9]{1,20}\\])\\}\\}") {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            prop_assert!(PcaModel::decode(&bytes).is_err());
        }
    }
}
