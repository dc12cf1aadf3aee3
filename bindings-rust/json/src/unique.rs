//! JSON in which no object has a name twice: which of the two counts would be a matter of taste.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// How the error begins. It does not quote the name, which may be a secret in the wrong place.
pub const GIVEN_TWICE: &str = "a name is given twice";

/// A value without repeated names.
pub(crate) struct Unique(pub(crate) Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<Source: Deserializer<'de>>(source: Source) -> Result<Self, Source::Error> {
        source.deserialize_any(Values).map(Self)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<Error: de::Error>(self) -> Result<Value, Error> {
        Ok(Value::Null)
    }

    fn visit_bool<Error: de::Error>(self, flag: bool) -> Result<Value, Error> {
        Ok(flag.into())
    }

    fn visit_u64<Error: de::Error>(self, number: u64) -> Result<Value, Error> {
        Ok(number.into())
    }

    fn visit_i64<Error: de::Error>(self, number: i64) -> Result<Value, Error> {
        Ok(number.into())
    }

    fn visit_f64<Error: de::Error>(self, number: f64) -> Result<Value, Error> {
        Ok(number.into())
    }

    fn visit_str<Error: de::Error>(self, text: &str) -> Result<Value, Error> {
        Ok(text.into())
    }

    fn visit_string<Error: de::Error>(self, text: String) -> Result<Value, Error> {
        Ok(text.into())
    }

    fn visit_seq<Access: SeqAccess<'de>>(self, mut elements: Access) -> Result<Value, Access::Error> {
        let mut list = Vec::new();
        while let Some(Unique(element)) = elements.next_element()? {
            list.push(element);
        }
        Ok(list.into())
    }

    fn visit_map<Access: MapAccess<'de>>(self, mut entries: Access) -> Result<Value, Access::Error> {
        let mut fields = Map::new();
        while let Some((name, Unique(value))) = entries.next_entry::<String, _>()? {
            if fields.insert(name, value).is_some() {
                return Err(de::Error::custom(GIVEN_TWICE));
            }
        }
        Ok(fields.into())
    }
}
