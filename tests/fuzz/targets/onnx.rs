//! ONNX files, up to where the library of ONNX Runtime takes them. Where `ORT_DYLIB_PATH` names one, it is asked too.
#![cfg(feature = "onnx")]

use std::fs;
use std::path::PathBuf;

use datafusion_featurize::image::model::{DeviceKind, Model};
use datafusion_featurize::image::models::ModelSpec;
use datafusion_featurize::image::weights::WeightsAccess;
use tempfile::TempDir;

use super::{Target, data, files};

pub(crate) struct OnnxFiles {
    folder: TempDir,
    setting: String,
    count: usize,
    last: PathBuf,
}

impl OnnxFiles {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let from = data("image").join("onnx");
        fs::copy(
            from.join("beside.onnx.data"),
            folder.path().join("beside.onnx.data"),
        )
        .unwrap();
        Self {
            last: folder.path().join("0.onnx"),
            folder,
            setting: fs::read_to_string(from.join("setting.json")).unwrap(),
            count: 0,
        }
    }
}

impl Target for OnnxFiles {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let folder = data("image").join("onnx");
        let all = files(&folder)
            .into_iter()
            .chain(files(&folder.join("refused")));
        let all = all.filter(|file| file.extension().is_some_and(|ending| ending == "onnx"));
        all.map(|file| fs::read(file).unwrap()).collect()
    }

    fn tokens(&self) -> &[&[u8]] {
        &[
            b"location",
            b"beside.onnx.data",
            b"../x",
            b"/etc/passwd",
            b"\x08\x07\x12",
            b"\x3A\x04",
            b"\x0A\x00",
        ]
    }

    fn most_memory(&self, input: &[u8]) -> usize {
        64 * input.len() + (64 << 20)
    }

    fn run(&mut self, input: &[u8]) -> Result<String, String> {
        let _ = fs::remove_file(&self.last);
        // Models are shared by the path of their files.
        self.count += 1;
        self.last = self.folder.path().join(format!("{}.onnx", self.count));
        fs::write(&self.last, input).unwrap();
        let path = self.last.to_str().unwrap();
        let Ok(ModelSpec::Onnx(spec)) = ModelSpec::parse(path) else {
            return Err("it is an ONNX file by its name".to_owned());
        };
        let spec = spec.with_preprocessing(Some(self.setting.clone()));
        let places = (None, &WeightsAccess::default());
        Ok(
            match Model::shared_onnx(&spec, None, None, places, DeviceKind::Cpu) {
                Ok(_) => "good".to_owned(),
                Err(error) => error.to_string().replace(path, ""),
            },
        )
    }
}
