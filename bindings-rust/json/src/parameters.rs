//! The parameters of a request.

use std::fmt;

use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

use crate::failure::{Failure, Outcome, beginning};
use crate::unique::Unique;

/// The parameters of a request: fields of a JSON object. Absent is the same as null; none is given twice.
#[derive(Clone, Default)]
pub struct Parameters {
    fields: Map<String, Value>,
    /// Where the object is: "content." is that of the parameter `content`; empty for the parameters themselves.
    place: String,
}

impl Parameters {
    /// The names of the fields.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// Puts a field in the place of one that may be there.
    pub fn set(&mut self, name: &str, value: Value) {
        self.fields.insert(name.to_owned(), value);
    }

    /// Takes an object out, if it is there.
    pub fn take_object(&mut self, name: &str) -> Outcome<Option<Self>> {
        match self.fields.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(self.inner(name, fields))),
            Some(_) => Err(self.wrong(name, "must be an object")),
        }
    }

    /// A field, if it is there.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// A field that must be there.
    pub fn need(&self, name: &str) -> Outcome<&Value> {
        self.get(name).ok_or_else(|| self.wrong(name, "missing"))
    }

    /// A text that must be there.
    pub fn text(&self, name: &str) -> Outcome<&str> {
        self.need(name)?.as_str().ok_or_else(|| self.wrong(name, "must be a text"))
    }

    /// A text, if it is there.
    pub fn optional_text(&self, name: &str) -> Outcome<Option<&str>> {
        self.get(name).map(|_| self.text(name)).transpose()
    }

    /// True or false, if it is there.
    pub fn flag(&self, name: &str) -> Outcome<Option<bool>> {
        let flag = |value: &Value| value.as_bool().ok_or_else(|| self.wrong(name, "must be true or false"));
        self.get(name).map(flag).transpose()
    }

    /// A whole number, if it is there.
    pub fn number(&self, name: &str) -> Outcome<Option<u64>> {
        let number = |value: &Value| value.as_u64().ok_or_else(|| self.wrong(name, "must be a whole number"));
        self.get(name).map(number).transpose()
    }

    /// A whole number below 2^32, if it is there.
    pub fn small_number(&self, name: &str) -> Outcome<Option<u32>> {
        let small = |number| u32::try_from(number).map_err(|_| self.wrong(name, "must be below 2^32"));
        self.number(name)?.map(small).transpose()
    }

    /// Bytes as hexadecimal, which must be there.
    pub fn bytes(&self, name: &str) -> Outcome<Vec<u8>> {
        hex::decode(self.text(name)?).map_err(|_| self.wrong(name, "must be hexadecimal"))
    }

    /// A 64-bit number as a decimal text, which must be there.
    pub fn decimal(&self, name: &str) -> Outcome<u64> {
        self.text(name)?.parse().map_err(|_| self.wrong(name, "must be a decimal text"))
    }

    /// An object that must be there.
    pub fn object(&self, name: &str) -> Outcome<Self> {
        match self.need(name)? {
            Value::Object(fields) => Ok(self.inner(name, fields.clone())),
            _ => Err(self.wrong(name, "must be an object")),
        }
    }

    /// Refuses names other than the known ones: a misspelt one would be left out without a word.
    pub(crate) fn refuse_others(&self, known: &[&str]) -> Outcome<()> {
        let mut others = self.names().filter(|name| self.get(name).is_some() && !known.contains(name));
        match (others.next(), known) {
            (None, _) => Ok(()),
            (Some(name), []) => Err(self.wrong(name, "unknown; there are none")),
            (Some(name), known) => Err(self.wrong(name, &format!("unknown; known: {}", known.join(", ")))),
        }
    }

    /// Why a field is refused.
    pub(crate) fn wrong(&self, name: &str, why: &str) -> Failure {
        Failure::request(format!("{}{}: {why}", self.place, beginning(name)))
    }

    fn inner(&self, name: &str, fields: Map<String, Value>) -> Self {
        Self { fields, place: format!("{}{name}.", self.place) }
    }
}

/// Values may be secrets.
impl fmt::Debug for Parameters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.fields.keys()).finish()
    }
}

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<Source: Deserializer<'de>>(source: Source) -> Result<Self, Source::Error> {
        match Unique::deserialize(source)?.0 {
            Value::Object(fields) => Ok(Self { fields, place: String::new() }),
            _ => Err(de::Error::custom("must be an object")),
        }
    }
}
