//! The parameters of a request.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::failure::{Failure, Outcome};

#[derive(Default, Deserialize)]
#[serde(transparent)]
pub struct Parameters(pub Map<String, Value>);

impl Parameters {
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub fn need(&self, name: &str) -> Outcome<&Value> {
        self.get(name).ok_or_else(|| Failure::agent(format!("{name}: missing")))
    }

    pub fn text(&self, name: &str) -> Outcome<&str> {
        self.need(name)?.as_str().ok_or_else(|| of_another_kind(name, "a text"))
    }

    pub fn optional_text(&self, name: &str) -> Outcome<Option<&str>> {
        self.get(name).map(|_| self.text(name)).transpose()
    }

    pub fn flag(&self, name: &str) -> Outcome<Option<bool>> {
        self.get(name).map(|value| value.as_bool().ok_or_else(|| of_another_kind(name, "true or false"))).transpose()
    }

    pub fn number(&self, name: &str) -> Outcome<Option<u64>> {
        self.get(name).map(|value| value.as_u64().ok_or_else(|| of_another_kind(name, "a whole number"))).transpose()
    }

    pub fn small_number(&self, name: &str) -> Outcome<Option<u32>> {
        let number = self.number(name)?;
        number.map(|number| u32::try_from(number).map_err(|_| of_another_kind(name, "below 2^32"))).transpose()
    }

    pub fn bytes(&self, name: &str) -> Outcome<Vec<u8>> {
        hex::decode(self.text(name)?).map_err(|_| of_another_kind(name, "hexadecimal"))
    }

    /// A 64-bit number as a decimal text.
    pub fn decimal(&self, name: &str) -> Outcome<u64> {
        self.text(name)?.parse().map_err(|_| of_another_kind(name, "a decimal text"))
    }

    pub fn object(&self, name: &str) -> Outcome<Self> {
        match self.need(name)? {
            Value::Object(fields) => Ok(Self(fields.clone())),
            _ => Err(of_another_kind(name, "an object")),
        }
    }
}

fn of_another_kind(name: &str, kind: &str) -> Failure {
    Failure::agent(format!("{name}: must be {kind}"))
}
