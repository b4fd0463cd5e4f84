//! What the `model` argument may say.

use std::fmt;

use featurize_kernels::Pooling;

use super::architecture::{Architecture, MOST_SIDE};
use super::choice::choose;
use super::onnx::OnnxSpec;
use super::transformer::{Config, Published};
use crate::error::{Error, Result};
use crate::preparation::Description;
use crate::weights::FolderAddress;

/// What else a model may be.
const ADDRESSES: &str = match cfg!(feature = "onnx") {
    true => ", or the address of a folder (hf://owner/repo, s3://…/, a path) or of an .onnx file",
    false => ", or the address of a folder (hf://owner/repo, s3://…/, a path)",
};

/// A network by its name or by the address of its folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ModelSpec {
    /// One that this crate describes.
    Convolutional(Architecture),
    /// One that the files of a folder describe.
    Transformer(TransformerSpec),
    /// One that is in an ONNX file, in builds with the feature `onnx`.
    Onnx(OnnxSpec),
}

/// A vision transformer in a folder of Hugging Face's layout.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TransformerSpec {
    /// Set where a short name was said.
    pub(crate) published: Option<Published>,
    pub(crate) address: FolderAddress,
}

impl ModelSpec {
    /// Parses the `model` argument.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] that lists the names and suggests the nearest.
    pub fn parse(text: &str) -> Result<Self> {
        if OnnxSpec::is_meant(text) {
            return OnnxSpec::parse(text).map(Self::Onnx);
        }
        if text.contains(['/', '\\']) || text.starts_with('.') {
            let address = FolderAddress::parse(text)?;
            return Ok(Self::Transformer(TransformerSpec {
                published: None,
                address,
            }));
        }
        let convolutional = Architecture::ALL.map(|each| (each.name(), Ok(each)));
        let published = Published::ALL.map(|each| (each.name(), Err(each)));
        let all = [convolutional.as_slice(), published.as_slice()].concat();
        match choose("model", text, &all, ADDRESSES)? {
            Ok(architecture) => Ok(Self::Convolutional(architecture)),
            Err(published) => Ok(Self::Transformer(TransformerSpec::of(published)?)),
        }
    }

    /// Every network that has a name, in the order in which messages list them.
    pub fn named() -> Vec<Self> {
        let published = Published::ALL.into_iter().filter_map(|published| {
            let spec = TransformerSpec::of(published).ok()?;
            Some(Self::Transformer(spec))
        });
        let convolutional = Architecture::ALL.into_iter().map(Self::Convolutional);
        convolutional.chain(published).collect()
    }

    /// Height and width of the images that a network with a name is fed.
    pub fn image_side(&self) -> Option<usize> {
        match self {
            Self::Convolutional(architecture) => Some(architecture.image_side()),
            Self::Transformer(spec) => {
                let text = spec.published?.preprocessor();
                let description = Description::of_folder(text, spec.known()?.fixed());
                Some(description.parse(None).ok()?.side())
            }
            Self::Onnx(_) => None,
        }
    }

    /// Length of the vectors that a pooling gives of such images, if the network has it.
    pub fn dimension(&self, pooling: Pooling) -> Option<usize> {
        let side = self.image_side()?;
        match self {
            Self::Convolutional(architecture) => {
                self.check(Some(pooling), None).ok()?;
                Some(pooling.dimension(architecture.feature_map(side)))
            }
            Self::Transformer(spec) => spec.known()?.dimension(pooling, side),
            Self::Onnx(_) => None,
        }
    }

    /// What `pooling` means where it is not given; of files that were not read, nobody knows.
    pub fn default_pooling(&self) -> Option<Pooling> {
        match self {
            Self::Convolutional(architecture) => Some(architecture.default_pooling()),
            Self::Transformer(spec) => Some(spec.known()?.default_pooling()),
            Self::Onnx(_) => None,
        }
    }

    /// Refuses what the network is known not to have.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] that lists what it has.
    pub(crate) fn check(&self, pooling: Option<Pooling>, side: Option<usize>) -> Result<()> {
        let poolings = match self {
            Self::Convolutional(architecture) => {
                architecture.side(side)?;
                vec![Pooling::None, Pooling::Avg, Pooling::Max]
            }
            Self::Transformer(_) | Self::Onnx(_) => {
                if let Some(side) = side
                    && !(1..=MOST_SIDE).contains(&side)
                {
                    return Err(Error::Argument(format!(
                        "{self} takes images of at most {MOST_SIDE} pixels a side, found {side}"
                    )));
                }
                match self {
                    Self::Transformer(spec) if let Some(config) = spec.known() => config.poolings(),
                    // The files tell.
                    _ => return Ok(()),
                }
            }
        };
        check_pooling(&self.to_string(), pooling, &poolings)
    }
}

/// Refuses a pooling that is none of these.
pub(crate) fn check_pooling(
    model: &str,
    pooling: Option<Pooling>,
    poolings: &[Pooling],
) -> Result<()> {
    let Some(pooling) = pooling.filter(|pooling| !poolings.contains(pooling)) else {
        return Ok(());
    };
    let names: Vec<String> = poolings.iter().map(|p| format!("'{}'", p.name())).collect();
    Err(Error::Argument(format!(
        "{model} has no pooling '{}', expected one of {}",
        pooling.name(),
        names.join(", ")
    )))
}

impl TransformerSpec {
    /// What the short name stands for, if one was said.
    pub fn published(&self) -> Option<Published> {
        self.published
    }

    /// The network of a short name.
    pub(crate) fn of(published: Published) -> Result<Self> {
        Ok(Self {
            published: Some(published),
            address: FolderAddress::parse(published.address())?,
        })
    }

    /// What is known of the network without looking at its folder.
    pub(crate) fn known(&self) -> Option<Config> {
        Config::parse(self.published?.config()).ok()
    }
}

impl fmt::Display for ModelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Convolutional(architecture) => architecture.fmt(f),
            Self::Transformer(spec) => spec.fmt(f),
            Self::Onnx(spec) => spec.fmt(f),
        }
    }
}

/// The short name, or the address without anything secret.
impl fmt::Display for TransformerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.published {
            Some(published) => published.fmt(f),
            None => self.address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses() {
        let parse = |text| ModelSpec::parse(text).unwrap();
        assert_eq!(
            parse("vgg16"),
            ModelSpec::Convolutional(Architecture::Vgg16)
        );
        for published in Published::ALL {
            let spec = parse(published.name());
            assert_eq!(spec.to_string(), published.name());
            assert!(spec.default_pooling().is_some());
        }
        assert_eq!(
            parse("clip_vit_b32").default_pooling(),
            Some(Pooling::Projection)
        );
        assert_eq!(parse("dinov2_base").default_pooling(), Some(Pooling::Cls));
        assert_eq!(parse("./models/mine").to_string(), "./models/mine");
        let spec = parse("https://ann:hush@host/models/mine/?sig=f00");
        assert_eq!(spec.default_pooling(), None);
        assert!(!format!("{spec} {spec:?}").contains("hush"));
        let error = ModelSpec::parse("dino2_small").unwrap_err().to_string();
        assert!(error.ends_with("did you mean 'dinov2_small'?"), "{error}");
        assert!(
            error.contains("'vgg16'") && error.contains("'siglip_b16'"),
            "{error}"
        );
    }

    #[test]
    fn what_a_network_lacks_is_refused() {
        let refused = |model, pooling, side| {
            let spec = ModelSpec::parse(model).unwrap();
            spec.check(pooling, side).unwrap_err().to_string()
        };
        assert_eq!(
            refused("vgg16", Some(Pooling::Cls), None),
            "vgg16 has no pooling 'cls', expected one of 'none', 'avg', 'max'"
        );
        let siglip = refused("siglip_b16", Some(Pooling::Cls), None);
        assert!(
            siglip.contains("'none', 'avg', 'max', 'projection'"),
            "{siglip}"
        );
        assert!(refused("hf://o/r", None, Some(5000)).contains("at most 1024 pixels"));
    }
}
