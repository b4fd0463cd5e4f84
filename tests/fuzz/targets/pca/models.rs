//! Models and scalers as they are kept in tables.

use std::sync::Arc;

use arrow::array::Array;
use datafusion::common::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF};
use datafusion::scalar::ScalarValue;
use datafusion_featurize::pca::{self, PcaModel, Scaler, functions};

use super::super::Target;
use super::super::call::{call, column};
use super::{ROWS, features, fit};

const TOKENS: &[&[u8]] = &[
    b"\"components\":",
    b"\"explained_variance\":",
    b"\"explained_variance_ratio\":",
    b"\"mean\":",
    b"\"scale\":",
    b"\"shape\":[0]",
    b"\"shape\":[1,3]",
    b"\"dtype\":\"F64\"",
    b"\"n_samples\":\"0\"",
    b"\"n_samples\":\"18446744073709551615\"",
    b"\"scaled\":\"false\"",
    b"\"with_mean\":\"false\"",
    b"\"n_requested\":\"9\"",
    b"\"version\":\"2\"",
    b"\"convention\":\"spark\"",
    b"\0\0\0\0\0\0\xF0\x7F",
    b"\0\0\0\0\0\0\xF8\x7F",
    b"\xFF\xFF\xFF\xFF\xFF\xFF\xEF\x7F",
];

/// Most bytes of a small model and what is made of it.
fn most_memory(input: &[u8]) -> usize {
    64 * input.len() + (1 << 20)
}

pub(crate) struct Models {
    functions: Vec<Arc<ScalarUDF>>,
    config: Arc<ConfigOptions>,
}

impl Models {
    pub(crate) fn new() -> Self {
        let mut functions = pca::all_default_scalar_functions();
        functions.retain(|function| function.name().starts_with("pca_"));
        Self {
            functions,
            config: Arc::default(),
        }
    }

    /// Every function takes a good model, with vectors or without.
    fn use_it(&self, model: &[u8]) {
        let vectors = features(false).slice(0, 1);
        for function in &self.functions {
            let model = || match model.len() % 2 {
                0 => ColumnarValue::Scalar(ScalarValue::BinaryView(Some(model.to_vec()))),
                _ => column(model),
            };
            let vectors = ColumnarValue::Array(Arc::clone(&vectors));
            let one = ColumnarValue::Scalar(ScalarValue::Int64(Some(1)));
            for args in [vec![model()], vec![vectors, model()], vec![model(), one]] {
                // Which arguments it takes, and whether widths agree, is its own business.
                let _ = call(function, args, &self.config);
            }
        }
    }
}

impl Target for Models {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let udaf = functions::pca_fit_udaf();
        let arguments = |n: i64, scale: bool, convention: &str| {
            vec![
                ScalarValue::Int64(Some(n)),
                ScalarValue::Boolean(Some(scale)),
                ScalarValue::from(convention),
            ]
        };
        [
            arguments(3, true, "scikit-learn"),
            arguments(1, false, "scikit-learn"),
            arguments(9, true, "spark"),
        ]
        .iter()
        .flat_map(|arguments| [true, false].map(|single| fit(&udaf, single, arguments)))
        .collect()
    }

    fn tokens(&self) -> &[&[u8]] {
        TOKENS
    }

    fn most_memory(&self, input: &[u8]) -> usize {
        most_memory(input)
    }

    fn run(&mut self, input: &[u8]) -> Result<String, String> {
        let model = match PcaModel::decode(input) {
            Ok(model) => model,
            Err(error) => return Ok(error.to_string()),
        };
        let encoded = model.encode();
        if PcaModel::decode(&encoded).ok().as_ref() != Some(&model) {
            return Err("a model that was read can be written and read again".to_owned());
        }
        self.use_it(input);
        Ok(format!(
            "good {} {}",
            model.n_components(),
            model.is_centred()
        ))
    }
}

pub(crate) struct Scalers {
    transform: Arc<ScalarUDF>,
    config: Arc<ConfigOptions>,
}

impl Scalers {
    pub(crate) fn new() -> Self {
        let all = pca::all_default_scalar_functions().into_iter();
        let mut transform = all.filter(|function| function.name() == "scaler_transform");
        Self {
            transform: transform.next().unwrap(),
            config: Arc::default(),
        }
    }
}

impl Target for Scalers {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let udaf = functions::scaler_fit_udaf();
        let spark = [ScalarValue::from("spark")];
        vec![
            fit(&udaf, false, &[]),
            fit(&udaf, true, &[]),
            fit(&udaf, false, &spark),
        ]
    }

    fn tokens(&self) -> &[&[u8]] {
        TOKENS
    }

    fn most_memory(&self, input: &[u8]) -> usize {
        most_memory(input)
    }

    fn run(&mut self, input: &[u8]) -> Result<String, String> {
        let scaler = match Scaler::decode(input) {
            Ok(scaler) => scaler,
            Err(error) => return Ok(error.to_string()),
        };
        let encoded = scaler.encode();
        if Scaler::decode(&encoded).ok().as_ref() != Some(&scaler) {
            return Err("a scaler that was read can be written and read again".to_owned());
        }
        let vectors = ColumnarValue::Array(features(false).slice(0, 1));
        let model = ColumnarValue::Scalar(ScalarValue::BinaryView(Some(input.to_vec())));
        let scaled = call(&self.transform, vec![vectors, model], &self.config);
        if scaler.n_features() == ROWS[0].len() && scaled.is_err() {
            return Err("a scaler that was read scales vectors of its width".to_owned());
        }
        Ok(format!("good {}", scaler.n_features()))
    }
}
