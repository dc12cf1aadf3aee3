//! QuickJS's own functions where the safe wrappers cost too much: they look up constructors and make an atom at every access.

use std::mem::forget;

use javy_plugin_api::javy::quickjs::{Ctx, Error, Result, Value, qjs};

/// A property's name, kept for as long as the interpreter lives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name(qjs::JSAtom);

impl Name {
    pub fn new(ctx: &Ctx<'_>, name: &str) -> Self {
        // SAFETY: the text is `len` bytes of UTF-8.
        Self(unsafe { qjs::JS_NewAtomLen(ctx.as_raw().as_ptr(), name.as_ptr().cast(), name.len() as _) })
    }
}

/// A value that outlives the context's borrow: a constant of the schema.
#[derive(Clone, Copy)]
pub struct Constant(qjs::JSValue);

impl Constant {
    pub fn new(value: Value<'_>) -> Self {
        Self(given_away(value))
    }

    pub fn get<'js>(self, ctx: &Ctx<'js>) -> Value<'js> {
        // SAFETY: the value is never freed; this is one more reference to it.
        unsafe { owned(ctx, qjs::JS_DupValue(ctx.as_raw().as_ptr(), self.0)) }
    }

    /// The very same string: what the interpreter makes of one constant mostly is.
    pub fn is(self, value: &Value<'_>) -> bool {
        // SAFETY: a comparison of the words that hold the values.
        unsafe { same(self.0, value.as_raw()) }
    }
}

#[inline]
unsafe fn same(left: qjs::JSValue, right: qjs::JSValue) -> bool {
    unsafe { std::mem::transmute::<qjs::JSValue, u64>(left) == std::mem::transmute::<qjs::JSValue, u64>(right) }
}

/// # Safety
/// The value belongs to this context and to nobody else.
#[inline]
unsafe fn owned<'js>(ctx: &Ctx<'js>, value: qjs::JSValue) -> Value<'js> {
    unsafe { Value::from_raw(ctx.clone(), value) }
}

unsafe fn checked<'js>(ctx: &Ctx<'js>, value: qjs::JSValue) -> Result<Value<'js>> {
    if unsafe { qjs::JS_IsException(value) } { Err(Error::Exception) } else { Ok(unsafe { owned(ctx, value) }) }
}

#[inline]
pub fn property<'js>(object: &Value<'js>, name: Name) -> Result<Value<'js>> {
    let ctx = object.ctx();
    unsafe { checked(ctx, qjs::JS_GetProperty(ctx.as_raw().as_ptr(), object.as_raw(), name.0)) }
}

#[inline]
pub fn element<'js>(array: &Value<'js>, index: u32) -> Result<Value<'js>> {
    let ctx = array.ctx();
    unsafe { checked(ctx, qjs::JS_GetPropertyUint32(ctx.as_raw().as_ptr(), array.as_raw(), index)) }
}

pub fn length(array: &Value<'_>) -> Result<u32> {
    let mut length = 0;
    let status = unsafe { qjs::JS_GetLength(array.ctx().as_raw().as_ptr(), array.as_raw(), &mut length) };
    if status < 0 { Err(Error::Exception) } else { Ok(length as u32) }
}

/// The name that a string is.
pub fn name_of(value: &Value<'_>) -> Name {
    let ctx = value.ctx().as_raw().as_ptr();
    // SAFETY: the atom is compared only, and with one that is kept; it may go.
    unsafe {
        let atom = qjs::JS_ValueToAtom(ctx, value.as_raw());
        qjs::JS_FreeAtom(ctx, atom);
        Name(atom)
    }
}

/// An object with these properties. (`JS_NewObjectFrom` would do it at once, and damages the shape that all empty objects share.)
pub fn object<'js>(ctx: &Ctx<'js>, properties: impl IntoIterator<Item = (Name, Value<'js>)>) -> Result<Value<'js>> {
    let object = unsafe { checked(ctx, qjs::JS_NewObject(ctx.as_raw().as_ptr()))? };
    for (name, value) in properties {
        // SAFETY: the value is given away.
        let status = unsafe { qjs::JS_SetProperty(ctx.as_raw().as_ptr(), object.as_raw(), name.0, given_away(value)) };
        if status < 0 {
            return Err(Error::Exception);
        }
    }
    Ok(object)
}

pub fn array<'js>(ctx: &Ctx<'js>, values: Vec<Value<'js>>) -> Result<Value<'js>> {
    let raw: Vec<_> = values.into_iter().map(given_away).collect();
    // SAFETY: the values are given away.
    unsafe { checked(ctx, qjs::JS_NewArrayFrom(ctx.as_raw().as_ptr(), raw.len() as _, raw.as_ptr())) }
}

fn given_away(value: Value<'_>) -> qjs::JSValue {
    let raw = value.as_raw();
    forget(value);
    raw
}

pub fn string<'js>(ctx: &Ctx<'js>, text: &str) -> Result<Value<'js>> {
    unsafe { checked(ctx, qjs::JS_NewStringLen(ctx.as_raw().as_ptr(), text.as_ptr().cast(), text.len() as _)) }
}

/// Gives the text of a string, as the interpreter encodes it: UTF-8, but for halves of surrogate pairs.
pub fn with_text<Answer>(value: &Value<'_>, take: impl FnOnce(&[u8]) -> Answer) -> Result<Answer> {
    let ctx = value.ctx().as_raw().as_ptr();
    let mut length = 0;
    // SAFETY: the text is valid until it is freed.
    unsafe {
        let text = qjs::JS_ToCStringLen(ctx, &mut length, value.as_raw());
        if text.is_null() {
            return Err(Error::Exception);
        }
        let answer = take(std::slice::from_raw_parts(text.cast(), length as usize));
        qjs::JS_FreeCString(ctx, text);
        Ok(answer)
    }
}

pub fn big_integer<'js>(ctx: &Ctx<'js>, number: u64) -> Result<Value<'js>> {
    unsafe { checked(ctx, qjs::JS_NewBigUint64(ctx.as_raw().as_ptr(), number)) }
}

/// A BigInt modulo 2^64.
pub fn big_integer_of(value: &Value<'_>) -> Result<u64> {
    let mut number = 0;
    let status = unsafe { qjs::JS_ToBigUint64(value.ctx().as_raw().as_ptr(), &mut number, value.as_raw()) };
    if status < 0 { Err(Error::Exception) } else { Ok(number) }
}

/// A Uint8Array with a copy of the bytes. Its memory is the interpreter's, whose limit gives an error where a Rust allocation traps.
pub fn bytes<'js>(ctx: &Ctx<'js>, bytes: &[u8]) -> Result<Value<'js>> {
    unsafe { checked(ctx, qjs::JS_NewUint8ArrayCopy(ctx.as_raw().as_ptr(), bytes.as_ptr(), bytes.len() as _)) }
}

/// The bytes of a Uint8Array, or a TypeError.
pub fn bytes_of<'a>(value: &'a Value<'_>) -> Result<&'a [u8]> {
    bytes_of_mut(value).map(|bytes| &*bytes)
}

/// The same, to be overwritten. No other view of them may be in use.
#[allow(clippy::mut_from_ref)]
pub fn bytes_of_mut<'a>(value: &'a Value<'_>) -> Result<&'a mut [u8]> {
    let mut length = 0;
    // SAFETY: the array lives as long as the value; no JavaScript runs while native code looks at it.
    unsafe {
        let pointer = qjs::JS_GetUint8Array(value.ctx().as_raw().as_ptr(), &mut length, value.as_raw());
        if pointer.is_null() {
            return Err(Error::Exception);
        }
        Ok(std::slice::from_raw_parts_mut(pointer, length as usize))
    }
}
