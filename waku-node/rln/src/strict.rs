//! JSON objects of exactly the fields that they should have, each once. serde's own errors quote the text, which may be a secret in
//! the wrong place; these name a field of ours, a line and a column.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::FileError;

/// An object of a file, of which the fields are taken one by one.
pub(crate) struct Object<'a> {
    text: &'a str,
    name: String,
    fields: Vec<(String, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// The whole of a file.
    pub(crate) fn parse(text: &'a str, name: &str) -> Result<Self, FileError> {
        let value: &RawValue = serde_json::from_str(text)
            .map_err(|error| FileError::new(name, format!("is no JSON: see line {}, column {}", error.line(), error.column())))?;
        Self::of(text, name.to_owned(), value)
    }

    fn of(text: &'a str, name: String, value: &'a RawValue) -> Result<Self, FileError> {
        match serde_json::from_str(value.get()) {
            Ok(Fields(fields)) => Ok(Self { text, name, fields }),
            Err(_) => Err(FileError::new(name, format!("must be a JSON object: see {}", place_in(text, value)))),
        }
    }

    /// A value that serde knows; `kind` says what is expected.
    pub(crate) fn take<T: DeserializeOwned>(&mut self, field: &str, kind: &str) -> Result<T, FileError> {
        let value = self.raw(field)?;
        serde_json::from_str(value.get()).map_err(|_| self.wrong(field, kind, value))
    }

    /// A list of objects.
    pub(crate) fn take_objects(&mut self, field: &str) -> Result<Vec<Self>, FileError> {
        let value = self.raw(field)?;
        let list: Vec<&'a RawValue> = serde_json::from_str(value.get()).map_err(|_| self.wrong(field, "a list", value))?;
        let name = self.path(field);
        list.into_iter().enumerate().map(|(index, value)| Self::of(self.text, format!("{name}[{index}]"), value)).collect()
    }

    /// Fails if fields are left.
    pub(crate) fn finish(self) -> Result<(), FileError> {
        match self.fields.first() {
            None => Ok(()),
            Some((_, value)) => {
                let place = place_in(self.text, value);
                Err(FileError::new(self.name, format!("has a field that does not belong there: see {place}")))
            }
        }
    }

    /// A field's name from the file on.
    pub(crate) fn path(&self, field: &str) -> String {
        format!("{}.{field}", self.name)
    }

    fn raw(&mut self, field: &str) -> Result<&'a RawValue, FileError> {
        let mut found = self.fields.extract_if(.., |(name, _)| name == field);
        let (value, again) = (found.next(), found.next());
        drop(found);
        match (value, again) {
            (Some((_, value)), None) => Ok(value),
            (Some(_), Some((_, value))) => {
                Err(FileError::new(self.path(field), format!("is there twice: see {}", place_in(self.text, value))))
            }
            (None, _) => Err(FileError::new(self.path(field), "is missing")),
        }
    }

    fn wrong(&self, field: &str, kind: &str, value: &RawValue) -> FileError {
        FileError::new(self.path(field), format!("must be {kind}: see {}", place_in(self.text, value)))
    }
}

/// In order, with those that come twice.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

/// Where a part of the text starts, as serde_json counts: lines from 1, bytes of a line from 1.
fn place_in(text: &str, part: &RawValue) -> String {
    let offset = part.get().as_ptr().addr().saturating_sub(text.as_ptr().addr());
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
    format!("line {line}, column {column}")
}
