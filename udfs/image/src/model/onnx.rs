//! A network in an ONNX file.

use std::path::Path;
use std::sync::Arc;

use super::{DeviceKind, Key, Model, once};
use crate::error::{Error, Result};
use crate::models::onnx::{OnnxNetwork, Opened};
use crate::models::{Network, OnnxSpec, Pooling};
use crate::pool::ComputePool;
use crate::preparation::{Description, Fixed};
use crate::weights::{OnnxFile, WeightsAccess, WeightsSpec};
use crate::{cancel, counters};

impl Model {
    /// The ONNX file of this process for images of this side, or of the one that the graph or what describes the
    /// preparation says; as [`shared`](Self::shared). Files that are not on this machine are kept in
    /// `weights_dir`. There are no other weights than its own. Its features are what [`Pooling::None`] reads.
    ///
    /// # Errors
    ///
    /// As [`shared_at`](Self::shared_at).
    pub fn shared_onnx(
        spec: &OnnxSpec,
        side: Option<usize>,
        weights: Option<&WeightsSpec>,
        (weights_dir, access): (Option<&Path>, &WeightsAccess),
        device: DeviceKind,
    ) -> Result<Arc<Self>> {
        if device != DeviceKind::Cpu {
            return Err(Error::Configuration(format!(
                "{spec}: an ONNX file runs on the processor here; SET featurize.device = 'cpu'"
            )));
        }
        let file = OnnxFile::resolve(spec, weights, weights_dir, access)?;
        let key = Key {
            architecture: None,
            onnx: Some(spec.clone()),
            side,
            weights: file.fingerprint()?,
            device,
        };
        once(key, || Self::load_onnx(spec, side, &file))
    }

    fn load_onnx(spec: &OnnxSpec, side: Option<usize>, file: &OnnxFile<'_>) -> Result<Self> {
        let _loading = counters::Loading::begin();
        let loaded = file.load()?;
        cancel::current().check().map_err(|_| Error::Cancelled)?;
        let threads = match spec.threads {
            0 => ComputePool::shared(0)?.threads(),
            threads => threads,
        };
        let opened = Opened::shared(&loaded, threads)?;
        let failed = |message| file.failed(message);
        let fixed = opened.side().map_err(failed)?;
        if let (Some(fixed), Some(side)) = (fixed, side)
            && fixed != side
        {
            return Err(Error::Argument(format!(
                "{spec} takes images of {fixed} pixels a side, as its graph says, found input_size {side}"
            )));
        }
        let (name, text) = &loaded.preparation;
        let description = Description {
            file: name,
            text,
            fixed: fixed.map(|side| Fixed {
                side,
                says: "the graph takes",
            }),
            may_be_plain: true,
        };
        let preparation = description.parse(side).map_err(failed)?;
        let network = OnnxNetwork::new(opened, preparation.side(), spec.output.as_deref());
        let network = network.map_err(failed)?;
        log::info!("loaded {spec} (SHA-256 {})", loaded.sha256);
        Ok(Self {
            name: spec.to_string(),
            default_pooling: Pooling::None,
            weights_origin: loaded.origin,
            weights_sha256: loaded.sha256,
            preparation,
            network: Network::of_onnx(network, loaded.parameters),
        })
    }
}
