use javy_plugin_api::javy::quickjs::{Ctx, Exception, Result, TypedArray};

/// Arguments and results of the intrinsics.
pub type Bytes<'js> = TypedArray<'js, u8>;

pub fn view<'a>(ctx: &Ctx<'_>, bytes: &'a Bytes<'_>) -> Result<&'a [u8]> {
    bytes.as_bytes().ok_or_else(|| Exception::throw_type(ctx, "a detached buffer"))
}

/// The bytes, or a RangeError if they are not `N`. `name` says what they are; their content is never told.
pub fn exactly<'a, const N: usize>(ctx: &Ctx<'_>, name: &str, bytes: &'a Bytes<'_>) -> Result<&'a [u8; N]> {
    let bytes = view(ctx, bytes)?;
    bytes
        .try_into()
        .map_err(|_| Exception::throw_range(ctx, &format!("{name}: expected {N} bytes, got {}", bytes.len())))
}

/// Copied into the interpreter's heap, whose limit gives an error where a Rust allocation would trap.
pub fn copy<'js>(ctx: &Ctx<'js>, bytes: impl AsRef<[u8]>) -> Result<Bytes<'js>> {
    TypedArray::new_copy(ctx.clone(), bytes)
}
