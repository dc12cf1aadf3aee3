//! `create`, `toBinary` and `fromBinary` of protobuf-es in native code: the same objects, the same bytes, the same input refused.
//! For what the project's schemas use: proto3; uint32, uint64, bool, string, bytes, enumerations and messages; optional,
//! repeated and oneof fields.

mod create;
mod decode;
mod encode;
mod reader;
mod schema;

use javy_plugin_api::javy::quickjs::{
    Ctx, Object, Result, Value,
    prelude::{Func, Opt},
};

use crate::bytes::{Bytes, copy, view};

pub fn object<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let protobuf = Object::new(ctx.clone())?;
    protobuf.set("define", Func::from(schema::define))?;
    protobuf.set("create", Func::from(create))?;
    protobuf.set("encode", Func::from(encode))?;
    protobuf.set("decode", Func::from(decode))?;
    Ok(protobuf)
}

fn create<'js>(ctx: Ctx<'js>, message: usize, init: Opt<Value<'js>>) -> Result<Value<'js>> {
    let init = init.0.unwrap_or_else(|| Value::new_undefined(ctx.clone()));
    create::message(&ctx, schema::get(), message, init)
}

fn encode<'js>(ctx: Ctx<'js>, message: usize, value: Value<'js>) -> Result<Bytes<'js>> {
    let mut output = Vec::new();
    encode::message(schema::get(), message, &value, &mut output)?;
    copy(&ctx, output)
}

fn decode<'js>(ctx: Ctx<'js>, message: usize, bytes: Bytes<'js>, keep_unknown: bool) -> Result<Value<'js>> {
    decode::message(&ctx, schema::get(), message, view(&bytes)?, keep_unknown)
}
