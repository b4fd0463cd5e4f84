//! Folders in Hugging Face's layout: configurations, and the documents beside them.

use std::fs;
use std::os::unix::fs::symlink;

use datafusion_featurize::image::model::{DeviceKind, Model};
use datafusion_featurize::image::models::ModelSpec;
use datafusion_featurize::image::preparation;
use datafusion_featurize::image::weights::WeightsAccess;
use tempfile::TempDir;

use super::parts::{join, split};
use super::{Target, data, files};

const NETWORKS: [&str; 6] = [
    "vit",
    "clip",
    "clip_vision",
    "dinov2",
    "dinov2_registers",
    "siglip",
];
const INDEX: &str = "model.safetensors.index.json";
const OVERHEAD: usize = 128 << 20;

const TOKENS: &[&[u8]] = &[
    b"null",
    b"true",
    b"[]",
    b"{}",
    b"\"\"",
    b"-1",
    b"1e999",
    b"\"model_type\":",
    b"\"vit\"",
    b"\"clip\"",
    b"\"siglip\"",
    b"\"dinov2\"",
    b"\"vision_config\":{",
    b"\"hidden_size\":",
    b"\"num_attention_heads\":",
    b"\"patch_size\":",
    b"\"image_size\":",
    b"\"size\":",
    b"\"crop_size\":",
    b"\"shortest_edge\":",
    b"\"height\":",
    b"\"width\":",
    b"\"image_mean\":",
    b"\"image_std\":",
    b"\"rescale_factor\":",
    b"\"resample\":",
    b"\"do_resize\":",
    b"\"do_center_crop\":",
    b"\"weight_map\":",
    b"../",
    b"\"quantization_config\":",
];

/// The name of a network whose numbers are taken, its configuration, its preprocessor, and perhaps an index.
pub(crate) struct Folders {
    folder: TempDir,
    count: usize,
}

impl Folders {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            count: 0,
        }
    }
}

impl Target for Folders {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let seeds = NETWORKS.into_iter().map(|network| {
            let folder = data("image").join("transformers").join(network);
            let read = |name: &str| fs::read(folder.join(name)).unwrap_or_default();
            join(&[
                network.as_bytes(),
                &read("config.json"),
                &read("preprocessor_config.json"),
                &read(INDEX),
            ])
        });
        seeds.collect()
    }

    fn tokens(&self) -> &[&[u8]] {
        TOKENS
    }

    fn most_memory(&self, input: &[u8]) -> usize {
        64 * input.len() + OVERHEAD
    }

    fn run(&mut self, input: &[u8]) -> Result<String, String> {
        // Models are shared by the path of their files.
        self.count += 1;
        let folder = self.folder.path().join(self.count.to_string());
        fs::create_dir(&folder).unwrap();
        let [network, config, preprocessor, index] = split(input);
        let network = NETWORKS.into_iter().find(|n| n.as_bytes() == network);
        let network = network.unwrap_or("vit");
        for file in files(&data("image").join("transformers").join(network)) {
            if file
                .extension()
                .is_some_and(|ending| ending == "safetensors")
            {
                symlink(&file, folder.join(file.file_name().unwrap())).unwrap();
            }
        }
        let parts = [
            ("config.json", config),
            ("preprocessor_config.json", preprocessor),
            (INDEX, index),
        ];
        for (name, text) in parts {
            if !text.is_empty() {
                fs::write(folder.join(name), text).unwrap();
            }
        }
        let path = folder.to_str().unwrap();
        let spec = ModelSpec::parse(path).map_err(|e| e.to_string())?;
        let places = (None, &WeightsAccess::default());
        let outcome = match Model::shared_spec(&spec, None, None, places, DeviceKind::Cpu) {
            Ok(model) => format!("good {}", model.preparation().describe()),
            Err(error) => {
                let error = error.to_string();
                if !error.contains(path) {
                    return Err(format!("the folder is not named: {error}"));
                }
                error.replace(path, "")
            }
        };
        fs::remove_dir_all(folder).unwrap();
        Ok(outcome)
    }
}

/// The setting that says how pictures become the input of an ONNX file.
pub(crate) struct Preprocessors;

impl Target for Preprocessors {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let networks = NETWORKS.into_iter();
        let networks = networks.map(|name| format!("transformers/{name}/preprocessor_config.json"));
        let files = networks.chain(["onnx/setting.json".to_owned()]);
        files
            .map(|file| fs::read(data("image").join(file)).unwrap())
            .collect()
    }

    fn tokens(&self) -> &[&[u8]] {
        TOKENS
    }

    fn most_memory(&self, input: &[u8]) -> usize {
        256 * input.len() + (1 << 20)
    }

    fn run(&mut self, input: &[u8]) -> Result<String, String> {
        let text = String::from_utf8_lossy(input);
        Ok(match preparation::check(&text) {
            Ok(()) => "good".to_owned(),
            Err(error) => error,
        })
    }
}
