//! Texts that name something: arguments of functions, settings, options of writing.

use std::collections::HashMap;

use datafusion::config::ExtensionOptions;
use datafusion_featurize::FeaturizeOptions;
use datafusion_featurize::image::error::Result as ImageResult;
use datafusion_featurize::image::model::DeviceKind;
use datafusion_featurize::image::models::{ModelSpec, parse_pooling};
use datafusion_featurize::image::weights::{FolderAddress, WeightsSpec};
use datafusion_featurize::sink::WriteOptions;
use url::Url;

use super::Target;

const MOST_MEMORY: usize = 1 << 20;

fn seeds(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn told(result: ImageResult<String>) -> Result<String, String> {
    result.map_err(|error| error.to_string())
}

/// `model`, `weights`, `pooling`, `device`.
pub(crate) struct Arguments;

impl Target for Arguments {
    fn seeds(&self) -> Vec<Vec<u8>> {
        seeds(&[
            "mobilenet_v2_050",
            "imagenet",
            "seeded",
            "avg",
            "cuda",
            "hf://facebook/dinov2-small@main",
            "s3://bucket/models/vit/",
            "https://user:hush@example.com/w.safetensors?sig=hush",
            "/data/My Weights.h5",
            "file:///data/net.onnx",
        ])
    }

    fn tokens(&self) -> &[&[u8]] {
        &[
            b"hf://",
            b"s3://",
            b"https://",
            b"file://",
            b".onnx",
            b".h5",
            b".keras",
            b".safetensors",
            b"@",
            b"?",
            b"#",
            b"/",
            b"..",
            b"%2F",
            b":",
            b"[::1]",
            b"\xC3\xA9",
        ]
    }

    fn most_memory(&self, input: &[u8]) -> usize {
        256 * input.len() + MOST_MEMORY
    }

    fn run(&mut self, input: &[u8]) -> Result<String, String> {
        let text = String::from_utf8_lossy(input);
        // Only in an address is it known to be one, and in a path it is none.
        let url = Url::parse(&text).ok().filter(|_| text.contains("://"));
        let has_password = url.is_some_and(|url| {
            url.has_host() && url.password() == Some("hush") && !url.path().contains(":hush")
        });
        let mut outcome = String::new();
        let mut note = |what: &str, result: Result<String, String>| {
            let (Ok(shown) | Err(shown)) = &result;
            if has_password && shown.contains(":hush") {
                return Err(format!("{what} shows a password: {shown}"));
            }
            match result {
                Ok(shown) => outcome += &format!("good {shown} "),
                Err(error) => outcome += &error.replace(&*text, ""),
            }
            Ok(())
        };
        let model = ModelSpec::parse(&text);
        note("model", told(model.map(|spec| spec.to_string())))?;
        let weights = WeightsSpec::parse(&text);
        note("weights", told(weights.map(|spec| spec.to_string())))?;
        let folder = FolderAddress::parse(&text);
        note("folder", told(folder.map(|spec| spec.to_string())))?;
        // These are no addresses, and show what was typed.
        let (pooling, device) = (parse_pooling(&text), DeviceKind::parse(&text));
        outcome += &format!("{:?} {:?}", pooling.ok(), device.ok());
        Ok(outcome)
    }
}

/// Lines `name=value` of settings and of options of writing.
pub(crate) struct Settings;

impl Target for Settings {
    fn seeds(&self) -> Vec<Vec<u8>> {
        seeds(&[
            "model=resnet50\nweights=seeded\nthreads=2\ninput_size=96",
            "max_pixels=1000000\nexif_orientation=apply\ntruncated_images=load\ndeep_grey=clip",
            "pca_memory_limit=1.5g\nscan_concurrency=8\nscan_batch_rows=1\nscan_batch_bytes=1\ncheckpoint_rows=0",
            "read_blob_from=s3://photos/, https://images.example.org/, /data/\nread_blob_local_hosts=false\nread_blob_max_length=512M",
            "format.write_mode=overwrite\nformat.num_files=3\nformat.success_file=true\nformat.manifest=false\nformat.vectors=columns",
            "onnx_preprocessing={\"size\": 32, \"image_mean\": [0.5, 0.5, 0.5]}\nweights_dir=/tmp/w\ndevice=cpu",
        ])
    }

    fn tokens(&self) -> &[&[u8]] {
        &[
            b"\nmodel=",
            b"\nweights=",
            b"\nthreads=",
            b"\ninput_size=",
            b"\npca_memory_limit=",
            b"\nread_blob_from=",
            b"*",
            b",",
            b"s3://",
            b"://",
            b"kb",
            b"T",
            b"-1",
            b"18446744073709551616",
            b"\nformat.num_files=",
            b"true",
            b"NULL",
        ]
    }

    fn most_memory(&self, input: &[u8]) -> usize {
        1024 * input.len() + MOST_MEMORY
    }

    fn run(&mut self, input: &[u8]) -> Result<String, String> {
        let text = String::from_utf8_lossy(input);
        let lines = text.split('\n').filter_map(|line| line.split_once('='));
        let mut settings = FeaturizeOptions::default();
        let mut options = HashMap::new();
        let mut outcome = String::new();
        for (name, value) in lines {
            options.insert(name.to_owned(), value.to_owned());
            if let Err(error) = settings.set(name, value) {
                outcome += &error.to_string();
            }
        }
        // What a setting is shown as sets it again.
        let mut again = FeaturizeOptions::default();
        for entry in settings.entries() {
            let name = entry.key.trim_start_matches("featurize.");
            if let Some(value) = &entry.value
                && let Err(error) = again.set(name, value)
            {
                return Err(format!(
                    "{name} is shown as '{value}', which it refuses: {error}"
                ));
            }
        }
        let shown = |settings: &FeaturizeOptions| {
            let entries = settings.entries().into_iter();
            entries.map(|e| (e.key, e.value)).collect::<Vec<_>>()
        };
        if shown(&settings) != shown(&again) {
            return Err(format!(
                "{:?} becomes {:?}",
                shown(&settings),
                shown(&again)
            ));
        }
        match WriteOptions::try_from_map(&options) {
            Ok(options) => outcome += &format!("{options:?}"),
            Err(error) => outcome += &error.to_string(),
        }
        Ok(outcome)
    }
}
