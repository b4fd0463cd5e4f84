//! What a graph takes and gives: which input is the image, which output the features.

use std::fmt;

/// Most numbers of one image's features: 64 MB.
const MOST_VALUES: usize = 1 << 24;
/// What is fed.
const IMAGE: &str = "one image of f32, [N, 3, H, W] or [N, H, W, 3]";

/// An input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Type of the numbers, and how many in each dimension.
    Tensor(String, Vec<Extent>),
    /// A sequence, a map, or nothing.
    Other,
}

/// How far a dimension goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Extent {
    Fixed(usize),
    /// Any number; the name that the graph has for it.
    Free(String),
}

impl Extent {
    fn fixed(&self) -> Option<usize> {
        match self {
            Self::Fixed(extent) => Some(*extent),
            Self::Free(_) => None,
        }
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(extent) => extent.fmt(f),
            Self::Free(name) if name.is_empty() => f.write_str("?"),
            Self::Free(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Tensor(of, extents) => {
                let extents: Vec<String> = extents.iter().map(ToString::to_string).collect();
                write!(f, "'{}' of {of} [{}]", self.name, extents.join(", "))
            }
            Kind::Other => write!(f, "'{}', which is no tensor", self.name),
        }
    }
}

fn list(ports: &[Port]) -> String {
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    ports.join("; ")
}

/// Where the channels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// N×3×H×W.
    Planes,
    /// N×H×W×3.
    Pixels,
}

/// The input that is fed the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) layout: Layout,
    /// `None` where the graph takes any.
    pub(super) side: Option<usize>,
}

impl Input {
    /// The only input, which must be an image.
    pub(super) fn of(inputs: &[Port]) -> Result<Self, String> {
        let [input] = inputs else {
            return Err(format!(
                "the graph has {} inputs ({}); expected {IMAGE}",
                inputs.len(),
                list(inputs)
            ));
        };
        let wrong = |what: &str| Err(format!("the graph's input is {input}; expected {what}"));
        let extents = match &input.kind {
            Kind::Tensor(of, extents) if of == "f32" => extents.as_slice(),
            _ => return wrong(IMAGE),
        };
        let [batch, second, third, fourth] = extents else {
            return wrong(IMAGE);
        };
        let (layout, height, width) = match (second.fixed(), fourth.fixed()) {
            (Some(3), Some(3)) => {
                return wrong("an image whose channels are told from its height and width");
            }
            (Some(3), _) => (Layout::Planes, third, fourth),
            (_, Some(3)) => (Layout::Pixels, second, third),
            _ => return wrong("3 channels in the second or the last place"),
        };
        if batch.fixed().is_some_and(|batch| batch != 1) {
            return wrong("a first dimension that is free or 1: export it so");
        }
        let side = match (height.fixed(), width.fixed()) {
            (Some(height), Some(width)) if height != width => {
                return wrong("a square: images of other shapes are not fed to networks here");
            }
            (height, width) => height.or(width),
        };
        if side.is_some_and(|side| !(1..=crate::models::MOST_SIDE).contains(&side)) {
            return wrong("a side of at most 1024 pixels");
        }
        Ok(Self {
            name: input.name.clone(),
            layout,
            side,
        })
    }
}

/// The output that is read, and its numbers for one image. `outputs` are as they came of one image.
pub(super) fn choose(outputs: &[Port], wanted: Option<&str>) -> Result<(String, usize), String> {
    let dimensions = |port: &Port| match &port.kind {
        Kind::Tensor(_, extents) => extents.len(),
        Kind::Other => 0,
    };
    let output = match wanted {
        Some(name) => outputs
            .iter()
            .find(|output| output.name == name)
            .ok_or_else(|| {
                format!(
                    "the graph has no output '{name}', which 'pooling' names; its outputs are {}",
                    list(outputs)
                )
            })?,
        None => {
            let mut flat = outputs.iter().filter(|output| dimensions(output) == 2);
            match (flat.next(), flat.next()) {
                (Some(output), None) => output,
                (found, _) => {
                    let count = if found.is_some() {
                        "several outputs"
                    } else {
                        "no output"
                    };
                    return Err(format!(
                        "the graph has {count} of two dimensions; say which is meant by its name, as \
                         weights => NULL, pooling => '{}': its outputs are {}",
                        outputs.first().map_or("name", |output| &output.name),
                        list(outputs)
                    ));
                }
            }
        }
    };
    let wrong = |what: &str| Err(format!("the graph's output is {output}; expected {what}"));
    let Kind::Tensor(of, extents) = &output.kind else {
        return wrong("a tensor of f32");
    };
    if of != "f32" {
        return wrong("a tensor of f32");
    }
    let extents: Vec<usize> = extents.iter().filter_map(Extent::fixed).collect();
    let Some((1, rest)) = extents.split_first().filter(|(_, rest)| !rest.is_empty()) else {
        return wrong("[1, …] of one image");
    };
    let values = rest
        .iter()
        .try_fold(1_usize, |all, extent| all.checked_mul(*extent));
    match values.filter(|values| (1..=MOST_VALUES).contains(values)) {
        Some(values) => Ok((output.name.clone(), values)),
        None => wrong(&format!("1 to {MOST_VALUES} numbers of each image")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `-1` is free.
    fn port(name: &str, of: &str, extents: &[i64]) -> Port {
        let extents = extents.iter().map(|extent| match usize::try_from(*extent) {
            Ok(extent) => Extent::Fixed(extent),
            Err(_) => Extent::Free("n".to_owned()),
        });
        Port {
            name: name.to_owned(),
            kind: Kind::Tensor(of.to_owned(), extents.collect()),
        }
    }

    fn input(extents: &[i64]) -> Result<(Layout, Option<usize>), String> {
        Input::of(&[port("x", "f32", extents)]).map(|input| (input.layout, input.side))
    }

    #[test]
    fn images_are_told_from_where_the_channels_are() {
        assert_eq!(input(&[-1, 3, 224, 224]), Ok((Layout::Planes, Some(224))));
        assert_eq!(input(&[1, 299, 299, 3]), Ok((Layout::Pixels, Some(299))));
        assert_eq!(input(&[1, 3, -1, -1]), Ok((Layout::Planes, None)));
        assert_eq!(input(&[-1, -1, 96, 3]), Ok((Layout::Pixels, Some(96))));
        for (extents, expected) in [
            (
                &[1, 1, 28, 28][..],
                "'x' of f32 [1, 1, 28, 28]; expected 3 channels",
            ),
            (&[-1, 3, 3, 3], "whose channels are told from"),
            (&[8, 3, 224, 224], "free or 1: export it so"),
            (&[1, 3, 256, 128], "expected a square"),
            (&[1, 3, 4096, 4096], "at most 1024 pixels"),
            (&[3, 224, 224], "expected one image of f32"),
            (
                &[1, -1, -1, -1],
                "'x' of f32 [1, n, n, n]; expected 3 channels",
            ),
        ] {
            let error = input(extents).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let error = Input::of(&[port("x", "u8", &[1, 3, 8, 8])]).unwrap_err();
        assert!(
            error.contains("'x' of u8 [1, 3, 8, 8]; expected one image of f32"),
            "{error}"
        );
        let two = [
            port("x", "f32", &[1, 3, 8, 8]),
            port("ids", "i64", &[1, 77]),
        ];
        let error = Input::of(&two).unwrap_err();
        assert!(
            error.contains("2 inputs ('x' of f32 [1, 3, 8, 8]; 'ids' of i64 [1, 77])"),
            "{error}"
        );
    }

    #[test]
    fn the_only_flat_output_is_read_or_the_one_named() {
        let outputs = [
            port("map", "f32", &[1, 7, 7, 64]),
            port("features", "f32", &[1, 64]),
        ];
        let chosen = |outputs: &[Port], name| choose(outputs, name).map(|(_, values)| values);
        assert_eq!(chosen(&outputs, None), Ok(64));
        assert_eq!(chosen(&outputs, Some("map")), Ok(7 * 7 * 64));
        let error = choose(&outputs, Some("avg")).unwrap_err();
        assert!(
            error.ends_with("'map' of f32 [1, 7, 7, 64]; 'features' of f32 [1, 64]"),
            "{error}"
        );
        let error = choose(&outputs[..1], None).unwrap_err();
        assert!(error.contains("no output of two dimensions"), "{error}");
        assert!(error.contains("pooling => 'map'"), "{error}");
        let twice = [outputs[1].clone(), port("logits", "f32", &[1, 10])];
        let error = choose(&twice, None).unwrap_err();
        assert!(
            error.contains("several outputs of two dimensions"),
            "{error}"
        );
        for (output, expected) in [
            (port("y", "f16", &[1, 64]), "expected a tensor of f32"),
            (port("y", "f32", &[2, 64]), "expected [1, …] of one image"),
            (port("y", "f32", &[1, 0]), "1 to 16777216 numbers"),
            (port("y", "f32", &[1, 1 << 40]), "1 to 16777216 numbers"),
        ] {
            let error = choose(&[output], None).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let error = choose(&[port("y", "f32", &[64])], Some("y")).unwrap_err();
        assert!(error.contains("expected [1, …] of one image"), "{error}");
    }
}
