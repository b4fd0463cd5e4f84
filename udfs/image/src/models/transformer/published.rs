//! Short names of published transformers.

use std::fmt;

/// A folder on the Hugging Face hub that has a short name.
///
/// What its files say of the network is known here too, so that `weights => 'seeded'` needs no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Published {
    name: &'static str,
    address: &'static str,
    config: &'static str,
    preprocessor: &'static str,
}

impl Published {
    /// Every one, in the order in which messages list them.
    pub const ALL: [Self; 5] = [
        Self {
            name: "dinov2_small",
            address: "hf://facebook/dinov2-small",
            config: r#"{"model_type": "dinov2", "hidden_size": 384, "num_attention_heads": 6, "image_size": 518, "patch_size": 14}"#,
            preprocessor: DINOV2,
        },
        Self {
            name: "dinov2_base",
            address: "hf://facebook/dinov2-base",
            config: r#"{"model_type": "dinov2", "image_size": 518, "patch_size": 14}"#,
            preprocessor: DINOV2,
        },
        Self {
            name: "clip_vit_b32",
            address: "hf://openai/clip-vit-base-patch32",
            config: r#"{"model_type": "clip", "projection_dim": 512, "vision_config": {"patch_size": 32}}"#,
            preprocessor: r#"{"image_processor_type": "CLIPImageProcessor"}"#,
        },
        Self {
            name: "clip_vit_l14",
            address: "hf://openai/clip-vit-large-patch14",
            config: r#"{"model_type": "clip", "projection_dim": 768, "vision_config": {"patch_size": 14, "hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 24}}"#,
            preprocessor: r#"{"image_processor_type": "CLIPImageProcessor"}"#,
        },
        Self {
            name: "siglip_b16",
            address: "hf://google/siglip-base-patch16-224",
            config: r#"{"model_type": "siglip", "vision_config": {}}"#,
            preprocessor: r#"{"image_processor_type": "SiglipImageProcessor"}"#,
        },
    ];

    /// Name in SQL.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The folder that it stands for.
    pub fn address(&self) -> &'static str {
        self.address
    }

    /// What `config.json` says of the network.
    pub(crate) fn config(&self) -> &'static str {
        self.config
    }

    /// What `preprocessor_config.json` says.
    pub(crate) fn preprocessor(&self) -> &'static str {
        self.preprocessor
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const DINOV2: &str = r#"{"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256}, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::transformer::Config;
    use crate::preparation::Description;

    #[test]
    fn what_is_known_of_each_can_be_read() {
        for published in Published::ALL {
            let config = Config::parse(published.config()).unwrap();
            let description = Description::of_folder(published.preprocessor(), config.fixed());
            assert_eq!(description.parse(None).unwrap().side(), 224, "{published}");
        }
    }
}
