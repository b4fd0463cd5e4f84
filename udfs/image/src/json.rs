//! Fields of JSON files that others wrote, each checked before anything is made of it.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

/// The object that a file holds.
pub(crate) fn object(file: &str, text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(format!("{file}: expected an object, {{…}}")),
        Err(error) => Err(format!("{file} is no JSON: {error}")),
    }
}

/// The fields of an object in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    file: &'static str,
    /// What the object is within.
    path: &'static str,
    fields: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(
        file: &'static str,
        path: &'static str,
        fields: &'a Map<String, Value>,
    ) -> Self {
        Self { file, path, fields }
    }

    /// Refuses a field that is none of these.
    pub(crate) fn only(&self, names: &[&str]) -> Result<(), String> {
        let Self { file, path, fields } = self;
        match fields.keys().find(|key| !names.contains(&key.as_str())) {
            Some(key) => Err(format!(
                "{file}: there is no field '{path}{key}'; the fields are {}",
                names.join(", ")
            )),
            None => Ok(()),
        }
    }

    /// A field that is there, and not null.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// The message that a field should be something else.
    pub(crate) fn wrong(&self, name: &str, expected: &str) -> String {
        let Self { file, path, .. } = self;
        match self.get(name) {
            Some(found) => {
                let mut found = found.to_string();
                if found.len() > 60 {
                    found = found.chars().take(60).chain(['…']).collect();
                }
                format!("{file}: field '{path}{name}' must be {expected}, found {found}")
            }
            None => format!("{file}: field '{path}{name}' is missing; it must be {expected}"),
        }
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, String> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "a string")),
        }
    }

    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, String> {
        match self.get(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(name, "true or false")),
        }
    }

    /// A number; without a default it must be there.
    pub(crate) fn number(
        &self,
        name: &str,
        default: Option<f64>,
        range: RangeInclusive<f64>,
    ) -> Result<f64, String> {
        let found = match self.get(name) {
            None => default,
            Some(value) => value.as_f64().filter(|number| range.contains(number)),
        };
        let (least, most) = (range.start(), range.end());
        found.ok_or_else(|| self.wrong(name, &format!("a number from {least} to {most}")))
    }

    /// A whole number; without a default it must be there.
    pub(crate) fn whole(
        &self,
        name: &str,
        default: Option<usize>,
        range: RangeInclusive<usize>,
    ) -> Result<usize, String> {
        let found = match self.get(name) {
            None => default,
            Some(value) => whole(value),
        };
        let (least, most) = (range.start(), range.end());
        found
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                self.wrong(
                    name,
                    &match least == most {
                        true => least.to_string(),
                        false => format!("a whole number from {least} to {most}"),
                    },
                )
            })
    }

    /// The side of a square: a number, or two equal ones.
    pub(crate) fn square(
        &self,
        name: &str,
        default: Option<usize>,
        range: RangeInclusive<usize>,
    ) -> Result<usize, String> {
        if let Some(Value::Array(sides)) = self.get(name) {
            let sides: Vec<_> = sides.iter().map(whole).collect();
            return match sides.as_slice() {
                [Some(height), Some(width)] if height == width && range.contains(height) => {
                    Ok(*height)
                }
                _ => Err(self.wrong(
                    name,
                    &format!(
                        "a whole number from {} to {}, or twice the same one",
                        range.start(),
                        range.end()
                    ),
                )),
            };
        }
        self.whole(name, default, range)
    }
}

/// A number without a fraction that `usize` can hold, however it is written.
fn whole(value: &Value) -> Option<usize> {
    let exact = value.as_u64().and_then(|n| usize::try_from(n).ok());
    let float = || {
        let number = value.as_f64()?;
        let fits = number.fract() == 0.0 && (0.0..9e15).contains(&number);
        fits.then_some(number as usize)
    };
    exact.or_else(float)
}
