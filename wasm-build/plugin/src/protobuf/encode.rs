use javy_plugin_api::javy::quickjs::{Exception, Result, Value};
use prost::encoding::{WireType, encode_key, encode_varint};

use super::schema::{Field, Kind, MemberKind, Schema};
use crate::interpreter::{big_integer_of, bytes_of, element, length, name_of, property, with_text};

/// Fields in the order of their numbers, then those that were not known when the message was decoded.
pub fn message(schema: &Schema, message: usize, value: &Value<'_>, output: &mut Vec<u8>) -> Result<()> {
    let described = &schema.messages[message];
    let names = &schema.names;
    // The member that was read last, and the case that is set if it is a oneof: fields of a oneof mostly follow each other.
    let mut last = None;
    for field in &described.fields {
        if last.as_ref().is_none_or(|(member, _, _)| *member != field.member) {
            let member = property(value, described.members[field.member].name)?;
            let case = match field.case {
                Some(_) => Some(property(&member, names.case)?).filter(Value::is_string).map(|case| name_of(&case)),
                None => None,
            };
            last = Some((field.member, member, case));
        }
        let Some((_, member, set)) = &last else { continue };
        if let Some(case) = &field.case {
            if *set == Some(case.name) {
                singular(schema, field, &property(member, names.value)?, output)?;
            }
            continue;
        }
        match described.members[field.member].kind {
            MemberKind::Repeated(_) => repeated(schema, field, member, output)?,
            MemberKind::Implicit(_) if is_zero(field.kind, member)? => (),
            MemberKind::Optional(_) if member.is_undefined() => (),
            _ => singular(schema, field, member, output)?,
        }
    }
    unknown(schema, value, output)
}

fn is_zero(kind: Kind, value: &Value<'_>) -> Result<bool> {
    Ok(match kind {
        Kind::Bool => value.as_bool() == Some(false),
        Kind::Uint32 | Kind::Enum => value.as_number() == Some(0.0),
        Kind::Uint64 => big_integer_of(value)? == 0,
        Kind::String => with_text(value, <[u8]>::is_empty)?,
        Kind::Bytes => bytes_of(value)?.is_empty(),
        Kind::Message(_) => value.is_undefined(),
    })
}

fn singular(schema: &Schema, field: &Field, value: &Value<'_>, output: &mut Vec<u8>) -> Result<()> {
    let wire_type = if field.kind.is_packable() { WireType::Varint } else { WireType::LengthDelimited };
    encode_key(field.number, wire_type, output);
    bare(schema, field.kind, value, output)
}

fn repeated(schema: &Schema, field: &Field, list: &Value<'_>, output: &mut Vec<u8>) -> Result<()> {
    let count = length(list)?;
    if !field.kind.is_packable() {
        return (0..count).try_for_each(|index| singular(schema, field, &element(list, index)?, output));
    }
    if count == 0 {
        return Ok(());
    }
    encode_key(field.number, WireType::LengthDelimited, output);
    sized(output, |output| (0..count).try_for_each(|index| bare(schema, field.kind, &element(list, index)?, output)))
}

/// A value without its key.
fn bare(schema: &Schema, kind: Kind, value: &Value<'_>, output: &mut Vec<u8>) -> Result<()> {
    match kind {
        Kind::Bool => output.push(value.as_bool().ok_or_else(|| unfit(value))?.into()),
        Kind::Uint32 => encode_varint(integer(value, 0.0, u32::MAX.into())? as u64, output),
        // Negative numbers take ten bytes.
        Kind::Enum => encode_varint(integer(value, i32::MIN.into(), i32::MAX.into())? as i64 as u64, output),
        Kind::Uint64 => encode_varint(big_integer_of(value)?, output),
        Kind::String if !value.is_string() => return Err(unfit(value)),
        Kind::String => with_text(value, |text| write_text(text, output))?,
        Kind::Bytes => {
            let bytes = bytes_of(value)?;
            encode_varint(bytes.len() as u64, output);
            output.extend_from_slice(bytes);
        }
        Kind::Message(_) if !value.is_object() => return Err(unfit(value)),
        Kind::Message(index) => sized(output, |output| message(schema, index, value, output))?,
    }
    Ok(())
}

fn integer(value: &Value<'_>, least: f64, most: f64) -> Result<f64> {
    value
        .as_number()
        .filter(|number| number.fract() == 0.0 && (least..=most).contains(number))
        .ok_or_else(|| unfit(value))
}

/// Halves of surrogate pairs become U+FFFD, as everywhere on the Web.
fn write_text(text: &[u8], output: &mut Vec<u8>) {
    encode_varint(text.len() as u64, output);
    let start = output.len();
    output.extend_from_slice(text);
    if std::str::from_utf8(text).is_err() {
        const REPLACEMENT: [u8; 3] = *b"\xef\xbf\xbd";
        for index in start..output.len() {
            if output[index] == 0xed && output[index + 1] >= 0xa0 {
                output[index..index + 3].copy_from_slice(&REPLACEMENT);
            }
        }
    }
}

/// Preceded by its length.
fn sized(output: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    let start = output.len();
    output.push(0);
    write(output)?;
    let length = output.len() - start - 1;
    if length < 0x80 {
        output[start] = length as u8;
    } else {
        let mut prefix = Vec::with_capacity(5);
        encode_varint(length as u64, &mut prefix);
        output.splice(start..=start, prefix);
    }
    Ok(())
}

fn unknown(schema: &Schema, message: &Value<'_>, output: &mut Vec<u8>) -> Result<()> {
    let names = &schema.names;
    let fields = property(message, names.unknown)?;
    if fields.is_undefined() {
        return Ok(());
    }
    for index in 0..length(&fields)? {
        let field = element(&fields, index)?;
        let part = |name| integer(&property(&field, name)?, 0.0, u32::MAX.into()).map(|number| number as u32);
        encode_varint((part(names.number)? << 3 | part(names.wire_type)?).into(), output);
        output.extend_from_slice(bytes_of(&property(&field, names.data)?)?);
    }
    Ok(())
}

/// A value of another type than the field's: a mistake in the core. What the value is stays here.
fn unfit(value: &Value<'_>) -> javy_plugin_api::javy::quickjs::Error {
    Exception::throw_type(value.ctx(), "a field has a value of another type")
}
