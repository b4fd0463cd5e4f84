//! A network with its weights on a device, loaded once per process.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use candle_core::Device;

use crate::error::{Error, Result, tensor_message};
use crate::models::{Architecture, Implementation, Network, Pooling};
use crate::pool::Workers;
use crate::preprocess::Preprocessing;
use crate::weights::{Fingerprint, WeightsSpec};
use crate::{cancel, counters};

/// Models kept in memory at once. VGG16 takes 240 MB, packed for the
/// CPU kernels.
const MOST_MODELS: usize = 4;

static MODELS: LazyLock<Mutex<Vec<(Key, Slot)>>> = LazyLock::new(Mutex::default);

type Slot = Arc<Mutex<Option<Arc<Model>>>>;

/// What tells one model from another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    architecture: Architecture,
    side: usize,
    weights: Fingerprint,
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
    architecture: Architecture,
    weights_origin: String,
    weights_sha256: String,
    preprocessing: Preprocessing,
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
            architecture,
            side,
            weights: weights.fingerprint(architecture)?,
            device,
        };
        let slot = slot(key);
        let mut model = cancel::lock(&slot)?;
        if let Some(model) = model.as_ref() {
            return Ok(Arc::clone(model));
        }
        let loaded = Arc::new(Self::load_at(architecture, side, weights, device)?);
        *model = Some(Arc::clone(&loaded));
        Ok(loaded)
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
        let implementation = match device {
            DeviceKind::Cpu => Implementation::Kernels,
            DeviceKind::Cuda => Implementation::Candle(open_cuda()?),
        };
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
            architecture,
            weights_origin: weights.origin().to_owned(),
            weights_sha256: weights.sha256().to_owned(),
            preprocessing: weights.conventions().preprocessing,
            network,
        })
    }

    /// Which network this is.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// The file the weights came from, or the name of their recipe.
    pub fn weights_origin(&self) -> &str {
        &self.weights_origin
    }

    /// SHA-256 of the weights file, or of the recipe of seeded weights, in hexadecimal.
    pub fn weights_sha256(&self) -> &str {
        &self.weights_sha256
    }

    /// What the network is fed.
    pub fn preprocessing(&self) -> Preprocessing {
        self.preprocessing
    }

    /// Height and width of the images that it is fed.
    pub fn image_side(&self) -> usize {
        self.network.side
    }

    /// Shape (height, width, channels) of the last feature map.
    pub fn feature_map(&self) -> (usize, usize, usize) {
        self.network.feature_map
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
        out.resize(start + count * pooling.dimension(self.feature_map()), 0.0);
        let done = self
            .network
            .run(images, count, pooling, &mut out[start..], workers);
        // Cancellation comes out of the network as an error like others.
        workers.check()?;
        Ok(done?)
    }
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
