//! What has to be known of an ONNX file before it is opened: that it is one, how many numbers it has, and which
//! files beside it hold some of them.
//!
//! The file is a message of Protocol Buffers (`ModelProto` of onnx.proto3), of which these few fields are read.

use std::collections::BTreeSet;

/// Deepest nesting of messages, as Protocol Buffers' own readers have it.
const MOST_DEPTH: usize = 100;
/// Most files that may lie beside one.
const MOST_FILES: usize = 1000;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Numbers in the graph's own tensors of floats.
    pub(super) parameters: usize,
    /// Names of the files beside it.
    pub(super) files: BTreeSet<String>,
}

/// Kinds of messages that hold tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Training,
    Function,
    Graph,
    Node,
    Attribute,
    Sparse,
    Tensor,
    /// A tensor that is a weight of the graph.
    Weight,
}

impl Kind {
    /// The kind of the message in a field, if it may hold tensors.
    fn child(self, field: u64) -> Option<Self> {
        match (self, field) {
            (Self::Model, 7) | (Self::Training, 1 | 2) => Some(Self::Graph),
            (Self::Model, 20) => Some(Self::Training),
            (Self::Model, 25) => Some(Self::Function),
            (Self::Function, 7) | (Self::Graph, 1) => Some(Self::Node),
            (Self::Function, 11) | (Self::Node, 5) => Some(Self::Attribute),
            (Self::Graph, 5) => Some(Self::Weight),
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Some(Self::Sparse),
            (Self::Attribute, 6 | 11) => Some(Self::Graph),
            (Self::Attribute, 5 | 10) | (Self::Sparse, 1 | 2) => Some(Self::Tensor),
            _ => None,
        }
    }
}

/// Scans a file.
///
/// # Errors
///
/// Why it is no whole ONNX model.
pub(super) fn scan(file: &[u8]) -> Result<Scan, String> {
    let mut scan = Scan::default();
    let mut has_graph = false;
    // A message is read on after the ones within it: what is held is one reader a level.
    let mut open = vec![(Kind::Model, Fields(file))];
    while let Some((kind, fields)) = open.last_mut() {
        let kind = *kind;
        let Some((field, value)) = fields.next_field()? else {
            open.pop();
            continue;
        };
        let (Some(child), Value::Bytes(message)) = (kind.child(field), value) else {
            continue;
        };
        has_graph |= kind == Kind::Model && child == Kind::Graph;
        match child {
            Kind::Tensor => scan.tensor(message, false)?,
            Kind::Weight => scan.tensor(message, true)?,
            _ if open.len() >= MOST_DEPTH => return Err(broken("it is nested too deeply")),
            _ => open.push((child, Fields(message))),
        }
    }
    match has_graph {
        true => Ok(scan),
        false => Err(broken("it has no graph")),
    }
}

fn broken(why: &str) -> String {
    format!("it is no whole ONNX model: {why}; export it or download it again")
}

impl Scan {
    fn tensor(&mut self, message: &[u8], counts: bool) -> Result<(), String> {
        let (mut elements, mut of, mut is_external) = (1_usize, 0, false);
        let mut location = None;
        let mut fields = Fields(message);
        while let Some((field, value)) = fields.next_field()? {
            match (field, value) {
                (1, Value::Number(extent)) => elements = times(elements, extent),
                (1, Value::Bytes(extents)) => {
                    let mut extents = Fields(extents);
                    while !extents.0.is_empty() {
                        elements = times(elements, extents.varint()?);
                    }
                }
                (2, Value::Number(code)) => of = code,
                (13, Value::Bytes(entry)) => location = location.or(location_of(entry)?),
                (14, Value::Number(code)) => is_external = code == 1,
                _ => {}
            }
        }
        // f32, f16, f64 and bf16: whole numbers are mostly sizes.
        if counts && matches!(of, 1 | 10 | 11 | 16) {
            self.parameters = self.parameters.saturating_add(elements);
        }
        if is_external {
            self.file(location)?;
        }
        Ok(())
    }

    /// Notes a file beside this one.
    fn file(&mut self, location: Option<&[u8]>) -> Result<(), String> {
        let name = location.and_then(|name| std::str::from_utf8(name).ok());
        let is_plain = |name: &&str| {
            !name.is_empty() && !name.contains(['/', '\\', '\0', ':']) && !name.starts_with('.')
        };
        let Some(name) = name.filter(is_plain) else {
            return Err(format!(
                "some of its numbers are in the file '{}'; expected the name of a file in the same \
                 folder",
                location.unwrap_or_default().escape_ascii()
            ));
        };
        if self.files.contains(name) {
            return Ok(());
        }
        if self.files.len() == MOST_FILES {
            return Err(format!(
                "its numbers are in more than {MOST_FILES} other files; save them in one: in Python, \
                 onnx.save(model, 'mine.onnx', save_as_external_data=True, \
                 all_tensors_to_one_file=True)"
            ));
        }
        self.files.insert(name.to_owned());
        Ok(())
    }
}

fn times(elements: usize, extent: u64) -> usize {
    elements.saturating_mul(usize::try_from(extent).unwrap_or(usize::MAX))
}

/// The value of a `StringStringEntryProto` whose key is `location`.
fn location_of(entry: &[u8]) -> Result<Option<&[u8]>, String> {
    let (mut is_location, mut found) = (false, None);
    let mut fields = Fields(entry);
    while let Some((field, value)) = fields.next_field()? {
        match (field, value) {
            (1, Value::Bytes(key)) => is_location = key == b"location",
            (2, Value::Bytes(value)) => found = Some(value),
            _ => {}
        }
    }
    Ok(found.filter(|_| is_location))
}

/// What a field holds.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// 32 or 64 bits as they are.
    Fixed,
}

/// The fields of a message that are still to be read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next_field(&mut self) -> Result<Option<(u64, Value<'a>)>, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            5 => self.take(4).map(|_| Value::Fixed)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            _ => return Err(broken("it is not written as Protocol Buffers write it")),
        };
        Ok(Some((tag >> 3, value)))
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for (index, byte) in self.0.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * index).min(63);
            if byte & 0x80 == 0 {
                self.0 = self.0.get(index + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(broken("a number in it does not end"))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], String> {
        let length = usize::try_from(length).ok();
        let Some((taken, rest)) = length.and_then(|length| self.0.split_at_checked(length)) else {
            return Err(broken("it ends early"));
        };
        self.0 = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, message: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(message.len()).unwrap()];
        out.extend(message);
        out
    }

    /// A model with one weight of 2×3 of type `of`, and what else the tensor says.
    fn model(of: u8, rest: &[u8]) -> Vec<u8> {
        let tensor = [&[8, 2, 8, 3, 16, of], rest].concat();
        field(7, &field(5, &tensor))
    }

    fn outside(location: &[u8]) -> Vec<u8> {
        let entry = [field(1, b"location"), field(2, location)].concat();
        [field(13, &entry), vec![14 << 3, 1]].concat()
    }

    #[test]
    fn numbers_are_counted_and_files_named() {
        assert_eq!(scan(&model(1, &[])).unwrap().parameters, 6);
        assert_eq!(scan(&model(7, &[])).unwrap().parameters, 0);
        let packed = field(7, &field(5, &[field(1, &[2, 3]), vec![16, 1]].concat()));
        assert_eq!(scan(&packed).unwrap().parameters, 6);
        let found = scan(&model(1, &outside(b"mine.onnx.data"))).unwrap();
        assert_eq!(
            found.files.into_iter().collect::<Vec<_>>(),
            ["mine.onnx.data"]
        );
        // In an attribute of a node of a graph in an attribute of a node.
        let attribute = field(5, &field(5, &outside(b"inner")));
        let inner = field(5, &field(6, &field(1, &attribute)));
        let found = scan(&field(7, &field(1, &inner))).unwrap();
        assert!(found.files.contains("inner"), "{found:?}");
        for location in [
            &b"../secret"[..],
            b"/etc/passwd",
            b"a\\b",
            b"",
            b"\xff",
            b".hidden",
        ] {
            let error = scan(&model(1, &outside(location))).unwrap_err();
            assert!(error.contains("a file in the same folder"), "{error}");
        }
    }

    #[test]
    fn what_is_broken_is_refused() {
        let whole = model(1, &outside(b"data"));
        for length in 0..whole.len() {
            // Cut anywhere, a length in it is wrong.
            assert!(scan(&whole[..length]).is_err(), "{length}");
        }
        for (bytes, expected) in [
            (
                &b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"[..],
                "does not end",
            ),
            (b"<html>", "Protocol Buffers"),
            (&[8, 8], "no graph"),
        ] {
            let error = scan(bytes).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let mut nested = Vec::new();
        for _ in 0..20 {
            // A graph, in an attribute, in a node.
            nested = field(1, &field(5, &field(6, &nested)));
        }
        assert!(scan(&field(7, &nested)).is_ok());
        for bytes in [
            &[0x3a, 0x80][..],
            &[0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        ] {
            assert!(scan(bytes).is_err());
        }
    }
}
