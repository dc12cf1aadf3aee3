//! The parameters of a request.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::failure::{Failure, Outcome};

/// The parameters of a request: fields of a JSON object. Absent is the same as null.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Parameters(Map<String, Value>);

impl Parameters {
    /// The names of the fields.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Puts a field in the place of one that may be there.
    pub fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// Takes an object out, if it is there.
    pub fn take_object(&mut self, name: &str) -> Outcome<Option<Self>> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(Self(fields))),
            Some(_) => Err(of_another_kind(name, "an object")),
        }
    }

    /// A field, if it is there.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A field that must be there.
    pub fn need(&self, name: &str) -> Outcome<&Value> {
        self.get(name).ok_or_else(|| Failure::request(format!("{name}: missing")))
    }

    /// A text that must be there.
    pub fn text(&self, name: &str) -> Outcome<&str> {
        self.need(name)?.as_str().ok_or_else(|| of_another_kind(name, "a text"))
    }

    /// A text, if it is there.
    pub fn optional_text(&self, name: &str) -> Outcome<Option<&str>> {
        self.get(name).map(|_| self.text(name)).transpose()
    }

    /// True or false, if it is there.
    pub fn flag(&self, name: &str) -> Outcome<Option<bool>> {
        self.get(name).map(|value| value.as_bool().ok_or_else(|| of_another_kind(name, "true or false"))).transpose()
    }

    /// A whole number, if it is there.
    pub fn number(&self, name: &str) -> Outcome<Option<u64>> {
        self.get(name).map(|value| value.as_u64().ok_or_else(|| of_another_kind(name, "a whole number"))).transpose()
    }

    /// A whole number below 2^32, if it is there.
    pub fn small_number(&self, name: &str) -> Outcome<Option<u32>> {
        let number = self.number(name)?;
        number.map(|number| u32::try_from(number).map_err(|_| of_another_kind(name, "below 2^32"))).transpose()
    }

    /// Bytes as hexadecimal, which must be there.
    pub fn bytes(&self, name: &str) -> Outcome<Vec<u8>> {
        hex::decode(self.text(name)?).map_err(|_| of_another_kind(name, "hexadecimal"))
    }

    /// A 64-bit number as a decimal text, which must be there.
    pub fn decimal(&self, name: &str) -> Outcome<u64> {
        self.text(name)?.parse().map_err(|_| of_another_kind(name, "a decimal text"))
    }

    /// An object that must be there.
    pub fn object(&self, name: &str) -> Outcome<Self> {
        match self.need(name)? {
            Value::Object(fields) => Ok(Self(fields.clone())),
            _ => Err(of_another_kind(name, "an object")),
        }
    }
}

fn of_another_kind(name: &str, kind: &str) -> Failure {
    Failure::request(format!("{name}: must be {kind}"))
}
