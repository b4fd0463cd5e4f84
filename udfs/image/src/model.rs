//! A network with its weights on a device, loaded once per process.

#[cfg(feature = "onnx")]
mod onnx;

use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use candle_core::Device;

use crate::decode::{DecodeOptions, decode};
use crate::error::{Error, Result, tensor_message};
use crate::models::{
    Architecture, Implementation, ModelSpec, Network, OnnxSpec, Pooling, TransformerSpec,
    check_pooling, transformer,
};
use crate::pool::Workers;
use crate::preparation::{Description, Preparation};
use crate::preprocess::Preprocessing;
use crate::weights::{Fingerprint, LoadedFolder, ModelFolder, WeightsAccess, WeightsSpec};
use crate::{cancel, counters};

/// Models kept in memory at once. VGG16 takes 240 MB, packed for the
/// CPU kernels.
const MOST_MODELS: usize = 4;

static MODELS: LazyLock<Mutex<Vec<(Key, Slot)>>> = LazyLock::new(Mutex::default);

type Slot = Arc<Mutex<Option<Arc<Model>>>>;

/// What tells one model from another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    /// `None` of one that its files describe.
    architecture: Option<Architecture>,
    /// What is asked of an ONNX file.
    onnx: Option<OnnxSpec>,
    /// `None` for that of the files.
    side: Option<usize>,
    weights: Vec<Fingerprint>,
    device: DeviceKind,
}

/// Where a network runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// The processor.
    Cpu,
    /// The first NVIDIA GPU; needs the crate feature `cuda`.
    Cuda,
}

impl DeviceKind {
    /// Parses the `featurize.device` setting.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] that lists the names.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda),
            other => Err(Error::Configuration(format!(
                "featurize.device must be 'cpu' or 'cuda', found '{other}'"
            ))),
        }
    }

    fn implementation(self) -> Result<Implementation> {
        match self {
            Self::Cpu => Ok(Implementation::Kernels),
            Self::Cuda => open_cuda().map(Implementation::Candle),
        }
    }
}

fn open_cuda() -> Result<Device> {
    Device::new_cuda(0).map_err(|error| {
        Error::Configuration(format!(
            "featurize.device = 'cuda' is not usable here: {}; build with the feature 'cuda' on a \
             machine with an NVIDIA GPU, or SET featurize.device = 'cpu'",
            tensor_message(&error)
        ))
    })
}

/// A network with its weights, ready to turn images into features.
#[derive(Debug)]
pub struct Model {
    name: String,
    default_pooling: Pooling,
    weights_origin: String,
    weights_sha256: String,
    preparation: Preparation,
    network: Network,
}

impl Model {
    /// The model of this process for images of the network's own size, loaded on the first call and
    /// shared from then on. Callers that arrive while it is being loaded wait for it.
    ///
    /// # Errors
    ///
    /// [`Error::Weights`] if the weights cannot be read or do not fit, [`Error::Configuration`] if
    /// the device is not usable. A failure is not remembered.
    pub fn shared(
        architecture: Architecture,
        weights: &WeightsSpec,
        device: DeviceKind,
    ) -> Result<Arc<Self>> {
        Self::shared_at(architecture, architecture.image_side(), weights, device)
    }

    /// The same for images of another size.
    ///
    /// # Errors
    ///
    /// As [`shared`](Self::shared), and [`Error::Argument`] if the network cannot take them.
    pub fn shared_at(
        architecture: Architecture,
        side: usize,
        weights: &WeightsSpec,
        device: DeviceKind,
    ) -> Result<Arc<Self>> {
        let key = Key {
            architecture: Some(architecture),
            onnx: None,
            side: Some(side),
            weights: vec![weights.fingerprint(architecture)?],
            device,
        };
        once(key, || Self::load_at(architecture, side, weights, device))
    }

    /// The model of this process by its name or address: what [`shared_at`](Self::shared_at),
    /// [`shared_transformer`](Self::shared_transformer) or [`shared_onnx`](Self::shared_onnx) gives. Without `weights`, it has its published ones.
    ///
    /// # Errors
    ///
    /// As these.
    pub fn shared_spec(
        spec: &ModelSpec,
        side: Option<usize>,
        weights: Option<&WeightsSpec>,
        (weights_dir, access): (Option<&Path>, &WeightsAccess),
        device: DeviceKind,
    ) -> Result<Arc<Self>> {
        match spec {
            ModelSpec::Convolutional(architecture) => {
                let weights = weights.unwrap_or(&WeightsSpec::ImageNet);
                let weights = weights.resolve(*architecture, weights_dir, access)?;
                let side = architecture.side(side)?;
                Self::shared_at(*architecture, side, &weights, device)
            }
            ModelSpec::Transformer(spec) => {
                Self::shared_transformer(spec, side, weights, (weights_dir, access), device)
            }
            ModelSpec::Onnx(spec) => {
                Self::shared_onnx(spec, side, weights, (weights_dir, access), device)
            }
        }
    }

    /// In builds without the feature `onnx`, there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] that says so.
    #[cfg(not(feature = "onnx"))]
    pub fn shared_onnx(
        spec: &OnnxSpec,
        _side: Option<usize>,
        _weights: Option<&WeightsSpec>,
        _places: (Option<&Path>, &WeightsAccess),
        _device: DeviceKind,
    ) -> Result<Arc<Self>> {
        Err(spec.lacking())
    }

    /// The transformer of this process for images of this side, or of the one that its files say; as
    /// [`shared`](Self::shared). `weights` are others than those of its folder; files that are not on this
    /// machine are kept in `weights_dir`.
    ///
    /// # Errors
    ///
    /// As [`shared_at`](Self::shared_at).
    pub fn shared_transformer(
        spec: &TransformerSpec,
        side: Option<usize>,
        weights: Option<&WeightsSpec>,
        (weights_dir, access): (Option<&Path>, &WeightsAccess),
        device: DeviceKind,
    ) -> Result<Arc<Self>> {
        let folder = ModelFolder::resolve(spec, weights, weights_dir, access)?;
        let key = Key {
            architecture: None,
            onnx: None,
            side,
            weights: folder.fingerprint()?,
            device,
        };
        once(key, || Self::load_folder(spec, side, &folder, device))
    }

    fn load_folder(
        spec: &TransformerSpec,
        side: Option<usize>,
        folder: &ModelFolder,
        device: DeviceKind,
    ) -> Result<Self> {
        let implementation = device.implementation()?;
        let _loading = counters::Loading::begin();
        let LoadedFolder {
            config,
            preprocessor,
            numbers,
            sha256,
        } = folder.load()?;
        let failed = |message| match cancel::current().is_cancelled() {
            true => Error::Cancelled,
            false => folder.failed(message),
        };
        let description = Description::of_folder(&preprocessor, config.fixed());
        let preparation = description.parse(side).map_err(failed)?;
        let side = preparation.side();
        let (graph, parameters) = transformer::build(&config, &numbers, side).map_err(failed)?;
        drop(numbers);
        let network = Network::new(graph, parameters, side, implementation)?;
        log::info!(
            "loaded {spec} with weights {} (SHA-256 {sha256})",
            folder.origin()
        );
        Ok(Self {
            name: spec.to_string(),
            default_pooling: config.default_pooling(),
            weights_origin: folder.origin().to_owned(),
            weights_sha256: sha256,
            preparation,
            network,
        })
    }

    /// Loads a model of one's own. The current token of [`cancel`] is looked at between two layers.
    ///
    /// # Errors
    ///
    /// As [`shared`](Self::shared); [`Error::Cancelled`].
    pub fn load(
        architecture: Architecture,
        weights: &WeightsSpec,
        device: DeviceKind,
    ) -> Result<Self> {
        Self::load_at(architecture, architecture.image_side(), weights, device)
    }

    /// The same for images of another size.
    ///
    /// # Errors
    ///
    /// As [`shared_at`](Self::shared_at).
    pub fn load_at(
        architecture: Architecture,
        side: usize,
        weights: &WeightsSpec,
        device: DeviceKind,
    ) -> Result<Self> {
        let side = architecture.side(Some(side))?;
        let implementation = device.implementation()?;
        let _loading = counters::Loading::begin();
        let weights = weights.load(architecture)?;
        let network = architecture
            .build(
                &weights.var_builder(&Device::Cpu),
                weights.conventions(),
                side,
                implementation,
            )
            .map_err(|error| match cancel::current().is_cancelled() {
                true => Error::Cancelled,
                false => weights.incomplete(architecture, &tensor_message(&error)),
            })?;
        weights.check_rest(architecture)?;
        log::info!(
            "loaded {architecture} with weights {} (SHA-256 {})",
            weights.origin(),
            weights.sha256()
        );
        Ok(Self {
            name: architecture.name().to_owned(),
            default_pooling: architecture.default_pooling(),
            weights_origin: weights.origin().to_owned(),
            weights_sha256: weights.sha256().to_owned(),
            preparation: Preparation::square(side, weights.conventions().preprocessing),
            network,
        })
    }

    /// Its name, or the address of its folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What `pooling` means where it is not given.
    pub fn default_pooling(&self) -> Pooling {
        self.default_pooling
    }

    /// Length of the vectors that a pooling gives.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] that lists the poolings that the network has, if this is none of them.
    pub fn dimension(&self, pooling: Pooling) -> Result<usize> {
        match self.network.shape(pooling) {
            Some(shape) => Ok(pooling.dimension(shape)),
            None => {
                check_pooling(&self.name, Some(pooling), &self.network.poolings())?;
                Ok(0)
            }
        }
    }

    /// The file the weights came from, or the name of their recipe.
    pub fn weights_origin(&self) -> &str {
        &self.weights_origin
    }

    /// SHA-256 in hexadecimal: of the weights file, of the recipe of seeded weights, or of a folder's files
    /// as `sha256sum` lists them in the order of their names.
    pub fn weights_sha256(&self) -> &str {
        &self.weights_sha256
    }

    /// How pictures become what the network is fed.
    pub fn preparation(&self) -> &Preparation {
        &self.preparation
    }

    /// The conventions of a library by which that is done, if it is one's.
    pub fn preprocessing(&self) -> Option<Preprocessing> {
        self.preparation.preprocessing()
    }

    /// What the network is fed for an encoded image: (height, width, 3), row-major.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] if it cannot be decoded.
    pub fn prepare(&self, image: &[u8], options: impl Into<DecodeOptions>) -> Result<Vec<f32>> {
        let picture = decode(image, options);
        let picture = picture.map_err(|error| Error::Decode { row: 0, error })?;
        let side = self.image_side();
        let mut input = vec![0.0; side * side * 3];
        let size = (picture.width, picture.height);
        self.preparation.apply(picture.data, size, &mut input);
        Ok(input)
    }

    /// Height and width of the images that it is fed.
    pub fn image_side(&self) -> usize {
        self.network.side
    }

    /// Shape (height, width, channels) of the last feature map.
    pub fn feature_map(&self) -> (usize, usize, usize) {
        self.network.shape(Pooling::None).unwrap_or_default()
    }

    /// Variables of the network, as `model.summary()` counts them in Keras.
    pub fn parameter_count(&self) -> usize {
        self.network.parameter_count
    }

    /// Runs the network over preprocessed images, (n, height, width, 3) row-major, and appends
    /// their feature vectors.
    pub(crate) fn run(
        &self,
        images: &[f32],
        count: usize,
        pooling: Pooling,
        workers: Workers<'_>,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let start = out.len();
        out.resize(start + count * self.dimension(pooling)?, 0.0);
        let done = self
            .network
            .run(images, count, pooling, &mut out[start..], workers);
        // Cancellation comes out of the network as an error like others.
        workers.check()?;
        Ok(done?)
    }
}

/// The model in the slot of `key`, loaded if there is none.
fn once(key: Key, load: impl FnOnce() -> Result<Model>) -> Result<Arc<Model>> {
    let slot = slot(key);
    let mut model = cancel::lock(&slot)?;
    if let Some(model) = model.as_ref() {
        return Ok(Arc::clone(model));
    }
    let loaded = Arc::new(load()?);
    *model = Some(Arc::clone(&loaded));
    Ok(loaded)
}

/// The slot of a model, most recently used last. The longest unused is forgotten.
fn slot(key: Key) -> Slot {
    let mut models = MODELS.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = match models.iter().position(|(other, _)| *other == key) {
        Some(index) => models.remove(index),
        None => {
            if models.len() == MOST_MODELS {
                models.remove(0);
            }
            (key, Slot::default())
        }
    };
    let slot = Arc::clone(&entry.1);
    models.push(entry);
    slot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vgg16_has_kerass_parameter_count() {
        let model = Model::load(Architecture::Vgg16, &WeightsSpec::Seeded, DeviceKind::Cpu);
        assert_eq!(model.unwrap().parameter_count(), 14_714_688);
    }

    #[test]
    fn mobilenet_v2_has_kerass_parameter_count() {
        let architecture = Architecture::MobileNetV2;
        let model = Model::load(architecture, &WeightsSpec::Seeded, DeviceKind::Cpu);
        assert_eq!(model.unwrap().parameter_count(), 2_257_984);
    }

    #[test]
    fn concurrent_first_calls_share_one_model() {
        let models: Vec<Arc<Model>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        Model::shared(Architecture::Vgg16, &WeightsSpec::Seeded, DeviceKind::Cpu)
                            .unwrap()
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(models.iter().all(|model| Arc::ptr_eq(model, &models[0])));
    }

    #[test]
    fn loading_ends_between_two_layers() {
        let token = cancel::CancelToken::new();
        token.cancel();
        let load = || Model::load(Architecture::Vgg16, &WeightsSpec::Seeded, DeviceKind::Cpu);
        let outcome = cancel::scope(&token, load);
        assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
    }

    #[test]
    fn unknown_devices_are_refused() {
        let error = DeviceKind::parse("gpu").unwrap_err().to_string();
        assert_eq!(
            error,
            "featurize.device must be 'cpu' or 'cuda', found 'gpu'"
        );
    }
}
