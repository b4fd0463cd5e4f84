//! A network with its weights on a device, loaded once per process.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use candle_core::{Device, Tensor};

use crate::error::{Error, Result, tensor_message};
use crate::models::{Architecture, Implementation, Network, Pooling};
use crate::pool::Workers;
use crate::preprocess::Preprocessing;
use crate::weights::{Fingerprint, WeightsSpec};

/// Models kept in memory at once. VGG16 takes 240 MB, packed for the
/// CPU kernels.
const MOST_MODELS: usize = 4;

static MODELS: LazyLock<Mutex<Vec<(Key, Slot)>>> = LazyLock::new(Mutex::default);

type Slot = Arc<Mutex<Option<Arc<Model>>>>;

/// What tells one model from another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    architecture: Architecture,
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

    fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda => Device::new_cuda(0).map_err(|error| {
                Error::Configuration(format!(
                    "featurize.device = 'cuda' is not usable here: {}; build with the feature \
                     'cuda' on a machine with an NVIDIA GPU, or SET featurize.device = 'cpu'",
                    tensor_message(&error)
                ))
            }),
        }
    }
}

/// A network with its weights, ready to turn images into features.
#[derive(Debug)]
pub struct Model {
    architecture: Architecture,
    weights_origin: String,
    weights_sha256: String,
    preprocessing: Preprocessing,
    device: Device,
    network: Box<dyn Network>,
}

impl Model {
    /// The model of this process, loaded on the first call and shared from then on. Callers that
    /// arrive while it is being loaded wait for it.
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
        let key = Key {
            architecture,
            weights: weights.fingerprint(architecture)?,
            device,
        };
        let slot = slot(key);
        let mut model = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = model.as_ref() {
            return Ok(Arc::clone(model));
        }
        let loaded = Arc::new(Self::load(architecture, weights, device)?);
        *model = Some(Arc::clone(&loaded));
        Ok(loaded)
    }

    /// Loads a model of one's own.
    ///
    /// # Errors
    ///
    /// As [`shared`](Self::shared).
    pub fn load(
        architecture: Architecture,
        weights: &WeightsSpec,
        device: DeviceKind,
    ) -> Result<Self> {
        let implementation = match device {
            DeviceKind::Cpu => Implementation::Kernels,
            DeviceKind::Cuda => Implementation::Candle,
        };
        let device = device.open()?;
        let weights = weights.load(architecture)?;
        let network = architecture
            .build(
                &weights.var_builder(&device),
                weights.conventions(),
                implementation,
            )
            .map_err(|error| weights.incomplete(architecture, &tensor_message(&error)))?;
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
            device,
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

    /// Variables of the network, as `model.summary()` counts them in Keras.
    pub fn parameter_count(&self) -> usize {
        self.network.parameter_count()
    }

    /// Runs the network over preprocessed images, (n, height, width, 3) row-major, and appends
    /// their feature vectors.
    pub(crate) fn run(
        &self,
        images: Vec<f32>,
        count: usize,
        pooling: Pooling,
        workers: Workers<'_>,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let (height, width) = self.architecture.image_size();
        let images = Tensor::from_vec(images, (count, height, width, 3), &self.device)?;
        let maps = self.network.forward(&images, workers);
        // Cancellation comes out of Candle as an error of a custom operation.
        workers.check()?;
        let maps = maps?.flatten_all()?.to_vec1::<f32>()?;
        let (height, width, channels) = self.architecture.feature_map();
        for map in maps.chunks_exact(height * width * channels) {
            pooling.apply(map, channels, out);
        }
        Ok(())
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
    fn unknown_devices_are_refused() {
        let error = DeviceKind::parse("gpu").unwrap_err().to_string();
        assert_eq!(
            error,
            "featurize.device must be 'cpu' or 'cuda', found 'gpu'"
        );
    }
}
