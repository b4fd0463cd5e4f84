//! A [`PcaModel`] as bytes, in the [safetensors] layout.
//!
//! | tensor (all F64) | shape |
//! |---|---|
//! | `components` | k × d |
//! | `explained_variance`, `explained_variance_ratio` | k |
//! | `mean`, `scale` | d |
//!
//! The metadata holds `format` = `datafusion-featurize.pca`, `version`, `n_samples`, `n_null_rows`,
//! `convention`, `scaled`, and `sha256`: the digest of all of the above ([`crate::model::container`]).
//!
//! Version 2 adds two entries, each only where it says what version 1 cannot: `with_mean`, whether the
//! mean is subtracted before projecting, where that is not the convention's default, and `n_requested`,
//! the number of components that was asked for where there are fewer.
//!
//! [safetensors]: https://github.com/huggingface/safetensors

use crate::error::{PcaError, Result};
use crate::model::container::{self, N_REQUESTED, Reader, Tensor, WITH_MEAN};
use crate::model::pca::PcaModel;
use crate::scaling::Convention;

const FORMAT: &str = "datafusion-featurize.pca";

const MEAN: &str = "mean";
const SCALE: &str = "scale";
const COMPONENTS: &str = "components";
const VARIANCE: &str = "explained_variance";
const RATIO: &str = "explained_variance_ratio";

impl PcaModel {
    /// Writes the model in the safetensors layout. Equal models give equal bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let shapes = [self.n_components(), self.n_features()];
        container::encode(FORMAT, &self.metadata(), &self.tensors(&shapes))
    }

    /// Reads a model that [`Self::encode`] wrote.
    ///
    /// # Errors
    /// If the bytes are not such a model, were written by another version of the layout, or have been
    /// damaged. No bytes make it panic, and nothing larger than the input is allocated.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let reader = Reader::try_new(bytes, FORMAT)?;
        let convention = Convention::try_from_name(reader.text("convention")?)
            .map_err(|e| PcaError::Format(e.to_string()))?;
        let (mean, mean_shape) = reader.tensor(MEAN)?;
        let (explained_variance, variance_shape) = reader.tensor(VARIANCE)?;
        let (components, components_shape) = reader.tensor(COMPONENTS)?;
        let shapes = [&mean_shape[..], &variance_shape, &components_shape];
        let (k, d) = (explained_variance.len(), mean.len());
        if shapes != [&[d][..], &[k], &[k, d]] {
            return Err(PcaError::Format(format!(
                "tensors mean, explained_variance and components have the shapes {mean_shape:?}, \
                 {variance_shape:?} and {components_shape:?} instead of [d], [k] and [k, d]"
            )));
        }
        let model = Self {
            n_samples: reader.parse("n_samples")?,
            null_rows: reader.parse("n_null_rows")?,
            convention,
            scaled: reader.parse("scaled")?,
            centred: reader
                .parse_if_there(WITH_MEAN)?
                .unwrap_or_else(|| convention.centres()),
            requested: reader.parse_if_there(N_REQUESTED)?,
            mean,
            scale: reader.tensor(SCALE)?.0,
            components,
            explained_variance,
            explained_variance_ratio: reader.tensor(RATIO)?.0,
        };
        model.validate()?;
        reader.verify(FORMAT, &model.metadata(), &model.tensors(&[k, d]))?;
        Ok(model)
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        let with_mean =
            (self.centred != self.convention.centres()).then(|| self.centred.to_string());
        let n_requested = self.requested.map(|k| k.to_string());
        let added = [(WITH_MEAN, with_mean), (N_REQUESTED, n_requested)];
        let mut metadata = vec![
            ("n_samples", self.n_samples.to_string()),
            ("n_null_rows", self.null_rows.to_string()),
            ("convention", self.convention.name().to_string()),
            ("scaled", self.scaled.to_string()),
        ];
        metadata.extend(
            added
                .into_iter()
                .filter_map(|(key, value)| Some((key, value?))),
        );
        metadata
    }

    /// The tensors in the order of their names; `shape` is that of the components.
    fn tensors<'a>(&'a self, shape: &'a [usize; 2]) -> [Tensor<'a>; 5] {
        let (k, d) = shape.split_at(1);
        [
            (COMPONENTS, shape, &self.components),
            (VARIANCE, k, &self.explained_variance),
            (RATIO, k, &self.explained_variance_ratio),
            (MEAN, d, &self.mean),
            (SCALE, d, &self.scale),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::NComponents;
    use proptest::prelude::*;
    use safetensors::{Dtype, SafeTensors};

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
        newer[at + text.len() - 2] = b'3';
        assert_eq!(
            PcaModel::decode(&newer).unwrap_err().to_string(),
            "the model has format version 3, but this build reads versions up to 2: update \
             datafusion-featurize, or fit the model again"
        );
    }

    /// What version 1 can say is written as before, for older builds to read.
    #[test]
    fn the_version_is_the_lowest_that_says_it() {
        let version = |model: &PcaModel| {
            let bytes = model.encode();
            assert_eq!(&PcaModel::decode(&bytes).unwrap(), model);
            let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
            header.metadata().clone().unwrap()["version"].clone()
        };
        let spark = PcaModel {
            convention: Convention::Spark,
            centred: false,
            ..model()
        };
        let centred = PcaModel {
            centred: true,
            ..spark.clone()
        };
        let clamped = model().asked_for(NComponents::Count(9));
        assert_eq!([&model(), &spark].map(version), ["1", "1"]);
        assert_eq!([&centred, &clamped].map(version), ["2", "2"]);
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
