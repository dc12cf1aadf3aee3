use javy_plugin_api::javy::quickjs::{Ctx, Exception, FromJs, IntoJs, Result, Value};

use crate::interpreter;

/// A Uint8Array, as arguments and results of the intrinsics.
#[derive(Clone)]
pub struct Bytes<'js>(Value<'js>);

impl<'js> FromJs<'js> for Bytes<'js> {
    fn from_js(_: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        interpreter::bytes_of(&value)?;
        Ok(Self(value))
    }
}

impl<'js> IntoJs<'js> for Bytes<'js> {
    fn into_js(self, _: &Ctx<'js>) -> Result<Value<'js>> {
        Ok(self.0)
    }
}

pub fn view<'a>(bytes: &'a Bytes<'_>) -> Result<&'a [u8]> {
    interpreter::bytes_of(&bytes.0)
}

/// The bytes, or a RangeError if they are not `N`. `name` says what they are; their content is never told.
pub fn exactly<'a, const N: usize>(ctx: &Ctx<'_>, name: &str, bytes: &'a Bytes<'_>) -> Result<&'a [u8; N]> {
    let bytes = view(bytes)?;
    bytes
        .try_into()
        .map_err(|_| Exception::throw_range(ctx, &format!("{name}: expected {N} bytes, got {}", bytes.len())))
}

pub fn copy<'js>(ctx: &Ctx<'js>, bytes: impl AsRef<[u8]>) -> Result<Bytes<'js>> {
    interpreter::bytes(ctx, bytes.as_ref()).map(Bytes)
}

pub fn wipe(bytes: &Bytes<'_>) -> Result<()> {
    interpreter::bytes_of_mut(&bytes.0).map(|bytes| bytes.fill(0))
}
