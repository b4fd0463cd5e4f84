//! `config.json` of a vision transformer.

use featurize_kernels::{Activation, Pooling};
use serde_json::{Map, Value};

use crate::json::{self, Fields};
use crate::preparation::Fixed;

/// Largest grid of patches along a side: tokens, and what attention takes, are bounded by it.
pub(super) const MOST_GRID: usize = 128;
/// Most numbers of a network: 8 GB of weights.
const MOST_PARAMETERS: usize = 2_000_000_000;

/// What a network is built like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Oquab et al., "DINOv2", 2023; registers: Darcet et al., "Vision transformers need registers", 2023.
    Dinov2,
    /// Radford et al., "Learning transferable visual models from natural language supervision", 2021.
    Clip,
    /// Zhai et al., "Sigmoid loss for language image pre-training", 2023.
    Siglip,
    /// The plain vision transformer.
    Vit,
}

/// A vision transformer without its numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    pub(crate) family: Family,
    /// Channels of a token.
    pub(crate) width: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    /// Channels inside a block's multilayer perceptron.
    pub(crate) inner: usize,
    /// Side of a patch in pixels.
    pub(crate) patch: usize,
    /// Side of the images that its positions were trained for.
    pub(crate) side: usize,
    pub(crate) activation: Activation,
    pub(crate) epsilon: f64,
    /// Whether queries, keys and values have biases.
    pub(crate) biased: bool,
    pub(crate) registers: usize,
    /// Whether positions are resized by an antialiased filter.
    pub(crate) antialias: bool,
    /// Channels of what the class token is projected to.
    pub(crate) projection: Option<usize>,
    /// Whether there is a head of attention.
    pub(crate) head: bool,
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// Which field of the file is wrong, what was expected and what was found.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let root = json::object("config.json", text)?;
        let top = Fields::new("config.json", "", &root);
        if let Some(quantised) = root.get("quantization_config").filter(|q| !q.is_null()) {
            let method = quantised.get("quant_method").and_then(Value::as_str);
            return Err(format!(
                "config.json: field 'quantization_config' says that the weights are quantised ({}); \
                 take the folder of the network in f32, f16 or bf16",
                method.unwrap_or("by no named method")
            ));
        }
        let empty = Map::new();
        let inner = match root.get("vision_config") {
            Some(Value::Object(inner)) => inner,
            _ => &empty,
        };
        let nested = Fields::new("config.json", "vision_config.", inner);
        let config = match top.text("model_type")?.unwrap_or_default() {
            "dinov2" => Self::dinov2(&top, 14, 0)?,
            "dinov2_with_registers" => {
                let registers = top.whole("num_register_tokens", Some(4), 0..=64)?;
                Self::dinov2(&top, 16, registers)?
            }
            "vit" => Self {
                epsilon: top.number("layer_norm_eps", Some(1e-12), 0.0..=1.0)?,
                biased: top.flag("qkv_bias", true)?,
                ..Self::of(Family::Vit, &top, 16, "gelu")?
            },
            "clip" => Self::clip(&nested, top.whole("projection_dim", Some(512), 1..=65_536)?)?,
            "clip_vision_model" => {
                let named = root.get("architectures").and_then(Value::as_array);
                let bare = named.is_some_and(|all| all.iter().any(|n| n == "CLIPVisionModel"));
                let projection = top.whole("projection_dim", Some(512), 1..=65_536)?;
                let config = Self::clip(&top, projection)?;
                Self {
                    projection: config.projection.filter(|_| !bare),
                    ..config
                }
            }
            "siglip" => Self::siglip(&nested)?,
            "siglip_vision_model" => Self::siglip(&top)?,
            other => {
                return Err(format!(
                    "config.json: field 'model_type' is '{other}'; expected 'dinov2', \
                     'dinov2_with_registers', 'clip', 'clip_vision_model', 'siglip', \
                     'siglip_vision_model' or 'vit'"
                ));
            }
        };
        config.check()
    }

    fn dinov2(fields: &Fields<'_>, patch: usize, registers: usize) -> Result<Self, String> {
        if fields.flag("use_swiglu_ffn", false)? {
            return Err(fields.wrong(
                "use_swiglu_ffn",
                "false: networks with SwiGLU (DINOv2 giant) are not known here",
            ));
        }
        let config = Self::of(Family::Dinov2, fields, patch, "gelu")?;
        let ratio = fields.whole("mlp_ratio", Some(4), 1..=64)?;
        Ok(Self {
            inner: config.width * ratio,
            epsilon: fields.number("layer_norm_eps", Some(1e-6), 0.0..=1.0)?,
            biased: fields.flag("qkv_bias", true)?,
            registers,
            antialias: registers > 0,
            ..config
        })
    }

    fn clip(fields: &Fields<'_>, projection: usize) -> Result<Self, String> {
        Ok(Self {
            epsilon: fields.number("layer_norm_eps", Some(1e-5), 0.0..=1.0)?,
            projection: Some(projection),
            ..Self::of(Family::Clip, fields, 32, "quick_gelu")?
        })
    }

    fn siglip(fields: &Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            epsilon: fields.number("layer_norm_eps", Some(1e-6), 0.0..=1.0)?,
            head: fields.flag("vision_use_head", true)?,
            ..Self::of(Family::Siglip, fields, 16, "gelu_pytorch_tanh")?
        })
    }

    /// What all families have, with the defaults of transformers.
    fn of(family: Family, fields: &Fields<'_>, patch: usize, act: &str) -> Result<Self, String> {
        let width = fields.whole("hidden_size", Some(768), 1..=8192)?;
        let activation = match fields.text("hidden_act")?.unwrap_or(act) {
            "gelu" => Activation::Gelu,
            "gelu_pytorch_tanh" | "gelu_new" => Activation::GeluTanh,
            "quick_gelu" => Activation::QuickGelu,
            "relu" => Activation::Relu,
            _ => {
                let known = "'gelu', 'gelu_pytorch_tanh', 'gelu_new', 'quick_gelu' or 'relu'";
                return Err(fields.wrong("hidden_act", known));
            }
        };
        fields.whole("num_channels", Some(3), 3..=3)?;
        Ok(Self {
            family,
            width,
            layers: fields.whole("num_hidden_layers", Some(12), 1..=256)?,
            heads: fields.whole("num_attention_heads", Some(12), 1..=width)?,
            inner: fields.whole("intermediate_size", Some(3072), 1..=65_536)?,
            patch: fields.square("patch_size", Some(patch), 1..=256)?,
            side: fields.square("image_size", Some(224), 1..=4096)?,
            activation,
            epsilon: 0.0,
            biased: true,
            registers: 0,
            antialias: false,
            projection: None,
            head: false,
        })
    }

    /// What fields say together.
    fn check(self) -> Result<Self, String> {
        let Self { width, heads, .. } = self;
        if !width.is_multiple_of(heads) {
            return Err(format!(
                "config.json: fields 'hidden_size' ({width}) and 'num_attention_heads' ({heads}) \
                 contradict each other: the first must be a multiple of the second"
            ));
        }
        let grid = self.side / self.patch;
        if !(1..=MOST_GRID).contains(&grid) {
            return Err(format!(
                "config.json: fields 'image_size' ({}) and 'patch_size' ({}) make {grid} patches a \
                 side; expected 1 to {MOST_GRID}",
                self.side, self.patch
            ));
        }
        let block = width
            .saturating_mul(4)
            .saturating_add(self.inner.saturating_mul(2));
        let parameters = block.saturating_mul(width).saturating_mul(self.layers);
        if parameters > MOST_PARAMETERS {
            return Err(format!(
                "config.json: fields 'hidden_size', 'intermediate_size' and 'num_hidden_layers' make \
                 about {parameters} numbers; expected at most {MOST_PARAMETERS}"
            ));
        }
        Ok(self)
    }

    /// Tokens before those of the patches.
    pub(crate) fn prefix(&self) -> usize {
        usize::from(self.family != Family::Siglip) + self.registers
    }

    /// What the reference calls the embedding of an image.
    pub(crate) fn default_pooling(&self) -> Pooling {
        if self.projection.is_some() || self.head {
            Pooling::Projection
        } else if self.prefix() > 0 {
            Pooling::Cls
        } else {
            Pooling::Avg
        }
    }

    /// What it can give.
    pub(crate) fn poolings(&self) -> Vec<Pooling> {
        let has = |pooling: &Pooling| match pooling {
            Pooling::Cls => self.prefix() > 0,
            Pooling::Projection => self.projection.is_some() || self.head,
            _ => true,
        };
        Pooling::ALL.into_iter().filter(has).collect()
    }

    /// Length of the vectors that a pooling gives of images of this side, if there is one.
    pub(crate) fn dimension(&self, pooling: Pooling, side: usize) -> Option<usize> {
        self.poolings().contains(&pooling).then(|| match pooling {
            Pooling::None => ((side / self.patch).pow(2) + self.prefix()) * self.width,
            Pooling::Projection => self.projection.unwrap_or(self.width),
            _ => self.width,
        })
    }

    /// The side of the images that it is fed unless one says otherwise; the reference feeds DINOv2 any.
    pub(crate) fn fixed(&self) -> Option<Fixed> {
        let fixed = Fixed {
            side: self.side,
            says: "config.json, field 'image_size', says",
        };
        (self.family != Family::Dinov2).then_some(fixed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, what: &str) {
        let error = Config::parse(text).unwrap_err();
        assert!(error.contains(what), "{error}");
    }

    #[test]
    fn defaults_are_those_of_the_reference() {
        let config = Config::parse(r#"{"model_type": "siglip"}"#).unwrap();
        assert_eq!(
            (config.width, config.layers, config.patch, config.side),
            (768, 12, 16, 224)
        );
        assert_eq!(config.activation, Activation::GeluTanh);
        assert!(config.head && config.prefix() == 0);
        let config = Config::parse(r#"{"model_type": "clip", "vision_config": {}}"#).unwrap();
        assert_eq!((config.patch, config.projection), (32, Some(512)));
        let config = Config::parse(r#"{"model_type": "dinov2_with_registers"}"#).unwrap();
        assert_eq!(
            (config.registers, config.prefix(), config.patch),
            (4, 5, 16)
        );
        let bare = r#"{"model_type": "clip_vision_model", "architectures": ["CLIPVisionModel"]}"#;
        assert_eq!(Config::parse(bare).unwrap().default_pooling(), Pooling::Cls);
    }

    #[test]
    fn what_is_wrong_is_named() {
        refused("[]", "config.json: expected an object");
        refused("{", "config.json is no JSON");
        refused("{}", "field 'model_type' is ''");
        refused(
            r#"{"model_type": "bert"}"#,
            "field 'model_type' is 'bert'; expected 'dinov2'",
        );
        refused(
            r#"{"model_type": "vit", "hidden_size": 1e300}"#,
            "config.json: field 'hidden_size' must be a whole number from 1 to 8192, found 1e+300",
        );
        refused(
            r#"{"model_type": "clip", "vision_config": {"num_hidden_layers": -1}}"#,
            "field 'vision_config.num_hidden_layers' must be a whole number from 1 to 256, found -1",
        );
        refused(
            r#"{"model_type": "vit", "hidden_size": 100, "num_attention_heads": 3}"#,
            "'hidden_size' (100) and 'num_attention_heads' (3) contradict",
        );
        refused(
            r#"{"model_type": "vit", "image_size": 4096, "patch_size": 1}"#,
            "make 4096 patches a side",
        );
        refused(
            r#"{"model_type": "vit", "hidden_size": 8192, "num_attention_heads": 64,
                "intermediate_size": 65536, "num_hidden_layers": 256}"#,
            "expected at most 2000000000",
        );
        refused(
            r#"{"model_type": "dinov2", "use_swiglu_ffn": true}"#,
            "field 'use_swiglu_ffn' must be false",
        );
        refused(
            r#"{"model_type": "vit", "hidden_act": "swish"}"#,
            r#"field 'hidden_act' must be 'gelu', 'gelu_pytorch_tanh', 'gelu_new', 'quick_gelu' or 'relu', found "swish""#,
        );
        refused(
            r#"{"model_type": "vit", "quantization_config": {"quant_method": "gptq"}}"#,
            "field 'quantization_config' says that the weights are quantised (gptq)",
        );
        refused(
            r#"{"model_type": "vit", "image_size": [224, 256]}"#,
            "field 'image_size' must be",
        );
    }
}
