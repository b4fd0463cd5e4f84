//! Files of weights, in each format.

use std::io::Read;
use std::path::PathBuf;

use candle_core::Device;
use datafusion_featurize::image::models::Architecture::{self, MobileNetV2_050, Vgg16};
use datafusion_featurize::image::weights::WeightsSpec;
use tempfile::TempDir;

use super::{Target, data};

/// The file, its tensors in f32, and what a decoder of HDF5 keeps beside them.
const PER_BYTE: usize = 16;
const OVERHEAD: usize = 64 << 20;

pub(crate) struct WeightFiles {
    seeds: Vec<Vec<u8>>,
    tokens: &'static [&'static [u8]],
    _folder: TempDir,
    file: PathBuf,
}

fn unpack(name: &str) -> Vec<u8> {
    let packed = std::fs::File::open(data("image").join(format!("models/{name}.gz"))).unwrap();
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed)
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

impl WeightFiles {
    fn new(seeds: Vec<Vec<u8>>, tokens: &'static [&'static [u8]]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            seeds,
            tokens,
            file: folder.path().join("weights"),
            _folder: folder,
        }
    }

    pub(crate) fn hdf5() -> Self {
        let names = [
            "nested_keras2.h5",
            "nested_keras3.weights.h5",
            "normalised_keras2.h5",
            "vgg16_topped_keras3.weights.h5",
            "vgg16_topped_whole.h5",
            "vgg19_keras2.h5",
        ];
        let tokens: &[&[u8]] = &[
            b"HEAP",
            b"TREE",
            b"SNOD",
            b"GCOL",
            b"OHDR",
            b"OCHK",
            b"layers",
            b"model_weights",
            b"layer_names",
            b"weight_names",
            b"vars",
            b"\x89HDF\r\n\x1a\n",
        ];
        Self::new(names.map(unpack).into(), tokens)
    }

    pub(crate) fn keras() -> Self {
        let seed = unpack("vgg16_topped.keras");
        Self::new(
            vec![seed],
            &[
                b"PK\x03\x04",
                b"PK\x01\x02",
                b"PK\x05\x06",
                b"model.weights.h5",
            ],
        )
    }

    pub(crate) fn safetensors() -> Self {
        let file = |header: &str, numbers: usize| {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            bytes.resize(bytes.len() + numbers, 0);
            bytes
        };
        let keras = r#"{"__metadata__":{"format":"pt"},"block1_conv1.kernel":{"dtype":"F16","shape":[3,3,3,64],"data_offsets":[0,3456]},"block1_conv1.bias":{"dtype":"F32","shape":[64],"data_offsets":[3456,3712]}}"#;
        let torch = r#"{"features.0.weight":{"dtype":"BF16","shape":[64,3,3,3],"data_offsets":[0,3456]},"features.0.bias":{"dtype":"F64","shape":[64],"data_offsets":[3456,3968]}}"#;
        let networks = std::fs::read(data("image").join("parity/networks.safetensors")).unwrap();
        let seeds = vec![file(keras, 3712), file(torch, 3968), networks];
        let tokens: &[&[u8]] = &[
            b"\"dtype\":",
            b"\"shape\":",
            b"\"data_offsets\":",
            b"\"F32\"",
            b"\"F16\"",
            b"\"F8_E4M3\"",
            b"[0,0]",
            b"[]",
            b"block1_conv1",
            b".kernel",
            b".bias",
            b"features.0.weight",
            b"__metadata__",
            b"\\u0000",
        ];
        Self::new(seeds, tokens)
    }

    /// Reads the file and some of its variables as this network would.
    fn load(&self, architecture: Architecture) -> String {
        let weights = match WeightsSpec::File(self.file.clone()).load(architecture) {
            Ok(weights) => weights,
            Err(error) => return error.to_string(),
        };
        let variables = weights.var_builder(&Device::Cpu);
        let mut outcome = format!("{:?}", weights.conventions());
        for (name, shape) in [
            ("block1_conv1.kernel", &[3, 3, 3, 64][..]),
            ("block1_conv1.bias", &[64]),
            ("block2_conv1.kernel", &[3, 3, 64, 128]),
            ("Conv1.kernel", &[3, 3, 3, 16]),
            ("bn_Conv1.gamma", &[16]),
        ] {
            match variables.get(shape, name) {
                Ok(tensor) => outcome += &format!(" {:?}", tensor.shape()),
                Err(error) => outcome += &format!(" {error}"),
            }
        }
        outcome
    }
}

impl Target for WeightFiles {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.clone()
    }

    fn tokens(&self) -> &[&[u8]] {
        self.tokens
    }

    fn most_memory(&self, input: &[u8]) -> usize {
        PER_BYTE * input.len() + OVERHEAD
    }

    fn run(&mut self, input: &[u8]) -> Result<String, String> {
        std::fs::write(&self.file, input).unwrap();
        let architecture = match input.len() % 4 {
            0 => MobileNetV2_050,
            _ => Vgg16,
        };
        let path = self.file.display().to_string();
        // Its name is the same in all messages, and would fill what is compared of them.
        Ok(self.load(architecture).replace(&path, ""))
    }
}
