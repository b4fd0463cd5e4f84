//! From a configuration and its tensors, by the names of transformers, to a graph of the kernels.

use featurize_kernels::{
    Activation, Attention, Conv, Graph, KernelError, Layer, Node, Norm, Pooling, Window,
};

use super::config::{Config, Family, MOST_GRID};
use super::linear::Linear;
use super::positions;

/// Colour channels of an image.
const COLOURS: usize = 3;

/// Where the numbers come from.
pub(crate) trait Tensors {
    /// What comes before `name` in the only tensor whose name ends with it.
    fn prefix(&self, name: &str) -> Option<String>;

    /// The numbers of a tensor, which must have this shape, row-major.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String>;
}

/// Builds the network for images of this side, and counts its numbers.
///
/// # Errors
///
/// What is wrong with a tensor, or with the side.
pub(crate) fn build(
    config: &Config,
    tensors: &dyn Tensors,
    side: usize,
) -> Result<(Graph, usize), String> {
    let grid = side / config.patch;
    if !(1..=MOST_GRID).contains(&grid) {
        return Err(format!(
            "images of {side} pixels a side are {grid} patches of {} a side; expected 1 to {MOST_GRID}",
            config.patch
        ));
    }
    let embedding = config.family.patch_weight();
    let prefix = tensors.prefix(embedding);
    let mut builder = Builder {
        config,
        tensors,
        prefix: prefix.ok_or_else(|| format!("tensor {embedding} is missing"))?,
        graph: Graph::new(COLOURS),
        parameters: 0,
    };
    builder.network(grid)?;
    Ok((builder.graph, builder.parameters))
}

struct Builder<'a> {
    config: &'a Config,
    tensors: &'a dyn Tensors,
    /// Before the names of all tensors but the projection's.
    prefix: String,
    graph: Graph,
    parameters: usize,
}

impl Builder<'_> {
    fn network(&mut self, grid: usize) -> Result<(), String> {
        let config = self.config;
        let mut map = self.tokens(grid)?;
        if config.family == Family::Clip {
            map = self.norm(map, "pre_layrnorm")?;
        }
        for layer in 0..config.layers {
            map = self.block(map, &config.family.layer(layer))?;
        }
        let skip = config.prefix();
        let read = |graph: &mut Graph, node, poolings: &[Pooling]| {
            for pooling in poolings {
                let skip = match pooling {
                    Pooling::Avg | Pooling::Max => skip,
                    _ => 0,
                };
                graph.read(*pooling, node, skip);
            }
        };
        let all = [Pooling::None, Pooling::Avg, Pooling::Max];
        match config.family {
            Family::Dinov2 | Family::Vit => {
                let last = self.norm(map, "layernorm")?;
                read(&mut self.graph, last, &all);
                read(&mut self.graph, last, &[Pooling::Cls]);
            }
            Family::Clip => {
                // The reference's last hidden state comes before the last norm.
                read(&mut self.graph, map, &all);
                let class = self.push(Layer::First(map))?;
                let class = self.norm(class, "post_layernorm")?;
                read(&mut self.graph, class, &[Pooling::Cls]);
                if let Some(outputs) = config.projection {
                    let name = "visual_projection.weight";
                    let prefix = self.tensors.prefix(name).unwrap_or_default();
                    let weight = self.read(&format!("{prefix}{name}"), &[outputs, config.width])?;
                    let linear = Linear::new(&weight, vec![0.0; outputs]);
                    let projected = self.linear(class, linear, Activation::Linear)?;
                    read(&mut self.graph, projected, &[Pooling::Projection]);
                }
            }
            Family::Siglip => {
                let last = self.norm(map, "post_layernorm")?;
                read(&mut self.graph, last, &all);
                if config.head {
                    let pooled = self.head(last)?;
                    read(&mut self.graph, pooled, &[Pooling::Projection]);
                }
            }
        }
        Ok(())
    }

    /// Patches, the tokens before them, and positions.
    fn tokens(&mut self, grid: usize) -> Result<Node, String> {
        let Config {
            family,
            width,
            patch,
            registers,
            ..
        } = *self.config;
        let name = family.patch_weight();
        let weight = self.own(name, &[width, COLOURS, patch, patch])?;
        let bias = match family {
            Family::Clip => vec![0.0; width],
            _ => self.own(&name.replace("weight", "bias"), &[width])?,
        };
        // (output, colour, y, x) to (y, x, colour, output)
        let mut kernel = Vec::with_capacity(weight.len());
        for place in 0..patch * patch {
            for colour in 0..COLOURS {
                let first = colour * patch * patch + place;
                kernel.extend(weight.iter().skip(first).step_by(COLOURS * patch * patch));
            }
        }
        let patches = self.push(Layer::Patches(self.graph.input(), patch))?;
        let linear = Linear {
            outputs: width,
            kernel,
            bias,
        };
        let input = self.linear(patches, linear, Activation::Linear)?;
        let trained = self.config.side / patch;
        let class = usize::from(family != Family::Siglip);
        let count = trained * trained + class;
        let positions = match family {
            Family::Dinov2 | Family::Vit => {
                self.own("embeddings.position_embeddings", &[1, count, width])?
            }
            _ => self.own("embeddings.position_embedding.weight", &[count, width])?,
        };
        let (before, of_patches) = positions
            .split_at_checked(class * width)
            .unwrap_or_default();
        let mut prefix = match family {
            Family::Siglip => Vec::new(),
            Family::Clip => self.own("embeddings.class_embedding", &[width])?,
            _ => self.own("embeddings.cls_token", &[1, 1, width])?,
        };
        for (value, position) in prefix.iter_mut().zip(before) {
            *value += position;
        }
        if registers > 0 {
            let name = "embeddings.register_tokens";
            prefix.extend(self.own(name, &[1, registers, width])?);
        }
        let positions = if grid == trained {
            of_patches.to_vec()
        } else {
            positions::resize(of_patches, width, trained, grid, self.config.antialias)
        };
        self.push(Layer::Tokens {
            input,
            prefix,
            positions,
        })
    }

    /// Attention and a multilayer perceptron, each added to what it reads.
    fn block(&mut self, input: Node, layer: &str) -> Result<Node, String> {
        let Config {
            family,
            width,
            heads,
            inner,
            activation,
            biased,
            ..
        } = *self.config;
        let names = family.names();
        let normal = self.norm(input, &format!("{layer}.{}", names.norms[0]))?;
        let scale = 1.0 / ((width / heads) as f64).sqrt();
        let mut parts = Vec::new();
        for (name, scale) in names.attention.iter().zip([scale, 1.0, 1.0]) {
            let name = format!("{layer}.{name}");
            let mut linear = self.matrix(&name, width, width, biased)?;
            linear.scale(&vec![scale; width]);
            parts.push(linear.with_padded_outputs(heads));
        }
        let all = self.linear(normal, Linear::beside(&parts), Activation::Linear)?;
        let attended = self.push(Layer::Attention(Attention {
            input: all,
            heads,
            queries: None,
        }))?;
        let mut out = self.matrix(&format!("{layer}.{}", names.out), width, width, true)?;
        self.layer_scale(&mut out, layer, 1)?;
        let out = self.linear(attended, out.with_padded_inputs(heads), Activation::Linear)?;
        let map = self.push(Layer::Add([input, out], Activation::Linear))?;

        let normal = self.norm(map, &format!("{layer}.{}", names.norms[1]))?;
        let wide = self.matrix(&format!("{layer}.{}", names.inner[0]), width, inner, true)?;
        let wide = self.linear(normal, wide, activation)?;
        let mut out = self.matrix(&format!("{layer}.{}", names.inner[1]), inner, width, true)?;
        self.layer_scale(&mut out, layer, 2)?;
        let out = self.linear(wide, out, Activation::Linear)?;
        self.push(Layer::Add([map, out], Activation::Linear))
    }

    /// SigLIP's: a learnt query attends to all tokens.
    fn head(&mut self, tokens: Node) -> Result<Node, String> {
        let Config {
            width,
            heads,
            inner,
            activation,
            ..
        } = *self.config;
        let weight = self.own("head.attention.in_proj_weight", &[3 * width, width])?;
        let bias = self.own("head.attention.in_proj_bias", &[3 * width])?;
        let mut parts = weight
            .chunks_exact(width * width)
            .zip(bias.chunks_exact(width))
            .map(|(weight, bias)| Linear::new(weight, bias.to_vec()));
        let probe = self.own("head.probe", &[1, 1, width])?;
        let scale = 1.0 / ((width / heads) as f64).sqrt();
        let (Some(mut query), Some(key), Some(value)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err("head.attention.in_proj_weight has too few rows".to_owned());
        };
        query.scale(&vec![scale; width]);
        let queries = query.with_padded_outputs(heads).apply(&probe);
        let pair = [key, value].map(|part| part.with_padded_outputs(heads));
        let input = self.linear(tokens, Linear::beside(&pair), Activation::Linear)?;
        let attended = self.push(Layer::Attention(Attention {
            input,
            heads,
            queries: Some(queries),
        }))?;
        let out = self.matrix("head.attention.out_proj", width, width, true)?;
        let map = self.linear(attended, out.with_padded_inputs(heads), Activation::Linear)?;
        let normal = self.norm(map, "head.layernorm")?;
        let wide = self.matrix("head.mlp.fc1", width, inner, true)?;
        let wide = self.linear(normal, wide, activation)?;
        let out = self.matrix("head.mlp.fc2", inner, width, true)?;
        let out = self.linear(wide, out, Activation::Linear)?;
        self.push(Layer::Add([map, out], Activation::Linear))
    }

    /// DINOv2 multiplies what it adds by a number for each channel.
    fn layer_scale(
        &mut self,
        linear: &mut Linear,
        layer: &str,
        which: usize,
    ) -> Result<(), String> {
        if self.config.family == Family::Dinov2 {
            let name = format!("{layer}.layer_scale{which}.lambda1");
            let scales = self.own(&name, &[linear.outputs])?;
            let scales: Vec<f64> = scales.into_iter().map(f64::from).collect();
            linear.scale(&scales);
        }
        Ok(())
    }

    fn norm(&mut self, input: Node, name: &str) -> Result<Node, String> {
        let width = self.config.width;
        let norm = Norm {
            input,
            gamma: self.own(&format!("{name}.weight"), &[width])?,
            beta: self.own(&format!("{name}.bias"), &[width])?,
            epsilon: self.config.epsilon,
        };
        self.push(Layer::Norm(norm))
    }

    fn matrix(
        &mut self,
        name: &str,
        inputs: usize,
        outputs: usize,
        biased: bool,
    ) -> Result<Linear, String> {
        let weight = self.own(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = match biased {
            true => self.own(&format!("{name}.bias"), &[outputs])?,
            false => vec![0.0; outputs],
        };
        Ok(Linear::new(&weight, bias))
    }

    fn linear(
        &mut self,
        input: Node,
        linear: Linear,
        activation: Activation,
    ) -> Result<Node, String> {
        self.push(Layer::Conv(Conv {
            input,
            kernel: linear.kernel,
            bias: linear.bias,
            window: Window::POINT,
            groups: 1,
            activation,
        }))
    }

    fn push(&mut self, layer: Layer) -> Result<Node, String> {
        self.graph
            .push(layer)
            .map_err(|error: KernelError| error.to_string())
    }

    /// A tensor of the network itself.
    fn own(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        self.read(&format!("{}{name}", self.prefix), shape)
    }

    fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        let values = self.tensors.read(name, shape)?;
        self.parameters += values.len();
        Ok(values)
    }
}

/// Names within a block.
struct Names {
    norms: [&'static str; 2],
    /// Queries, keys and values.
    attention: [&'static str; 3],
    out: &'static str,
    inner: [&'static str; 2],
}

impl Family {
    fn patch_weight(self) -> &'static str {
        match self {
            Self::Dinov2 | Self::Vit => "embeddings.patch_embeddings.projection.weight",
            Self::Clip | Self::Siglip => "embeddings.patch_embedding.weight",
        }
    }

    fn layer(self, index: usize) -> String {
        match self {
            Self::Dinov2 | Self::Vit => format!("encoder.layer.{index}"),
            Self::Clip | Self::Siglip => format!("encoder.layers.{index}"),
        }
    }

    fn names(self) -> Names {
        let bert = (
            [
                "attention.attention.query",
                "attention.attention.key",
                "attention.attention.value",
            ],
            "attention.output.dense",
        );
        match self {
            Self::Dinov2 => Names {
                norms: ["norm1", "norm2"],
                attention: bert.0,
                out: bert.1,
                inner: ["mlp.fc1", "mlp.fc2"],
            },
            Self::Vit => Names {
                norms: ["layernorm_before", "layernorm_after"],
                attention: bert.0,
                out: bert.1,
                inner: ["intermediate.dense", "output.dense"],
            },
            Self::Clip | Self::Siglip => Names {
                norms: ["layer_norm1", "layer_norm2"],
                attention: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
                out: "self_attn.out_proj",
                inner: ["mlp.fc1", "mlp.fc2"],
            },
        }
    }
}
