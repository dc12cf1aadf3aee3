use javy_plugin_api::javy::quickjs::{Ctx, Result, Value};

use super::schema::{Kind, MemberKind, Message, Schema};
use crate::interpreter::{Name, array, big_integer, bytes, element, length, name_of, object, property, string};

/// A message with the properties of `init`, and zero values for the rest. `init` itself if it is such a message.
pub fn message<'js>(ctx: &Ctx<'js>, schema: &Schema, message: usize, init: Value<'js>) -> Result<Value<'js>> {
    let described = &schema.messages[message];
    if !init.is_object() {
        return zero(ctx, schema, described);
    }
    if is_message(schema, described, &init)? {
        return Ok(init);
    }
    let mut new = NewMessage::new(ctx, schema, described);
    for member in &described.members {
        let given = property(&init, member.name)?;
        let is_given = !given.is_undefined() && !given.is_null();
        match member.kind {
            MemberKind::Implicit(kind) if !is_given => new.push(member.name, zero_value(ctx, kind)?),
            MemberKind::Repeated(_) if !is_given => new.push(member.name, array(ctx, Vec::new())?),
            MemberKind::Oneof => new.push(member.name, oneof(ctx, schema, described, member.name, given)?),
            MemberKind::Repeated(kind) => new.push(member.name, list(ctx, schema, kind, given)?),
            MemberKind::Implicit(kind) | MemberKind::Optional(kind) if is_given => {
                new.push(member.name, convert(ctx, schema, kind, given)?);
            }
            _ => (),
        }
    }
    new.finish()
}

/// A message without any field set.
pub fn zero<'js>(ctx: &Ctx<'js>, schema: &Schema, described: &Message) -> Result<Value<'js>> {
    let mut new = NewMessage::new(ctx, schema, described);
    for member in &described.members {
        if let Some(value) = zero_member(ctx, schema, member.kind)? {
            new.push(member.name, value);
        }
    }
    new.finish()
}

/// What a member is while nothing is set; `None`: not there.
pub fn zero_member<'js>(ctx: &Ctx<'js>, schema: &Schema, kind: MemberKind) -> Result<Option<Value<'js>>> {
    match kind {
        MemberKind::Implicit(kind) => zero_value(ctx, kind).map(Some),
        MemberKind::Optional(_) => Ok(None),
        MemberKind::Repeated(_) => array(ctx, Vec::new()).map(Some),
        MemberKind::Oneof => object(ctx, [(schema.names.case, Value::new_undefined(ctx.clone()))]).map(Some),
    }
}

fn zero_value<'js>(ctx: &Ctx<'js>, kind: Kind) -> Result<Value<'js>> {
    match kind {
        Kind::Uint32 | Kind::Enum => Ok(Value::new_int(ctx.clone(), 0)),
        Kind::Uint64 => big_integer(ctx, 0),
        Kind::Bool => Ok(Value::new_bool(ctx.clone(), false)),
        Kind::String => string(ctx, ""),
        Kind::Bytes => bytes(ctx, &[]),
        Kind::Message(_) => Ok(Value::new_undefined(ctx.clone())),
    }
}

fn convert<'js>(ctx: &Ctx<'js>, schema: &Schema, kind: Kind, value: Value<'js>) -> Result<Value<'js>> {
    match kind {
        Kind::Message(index) if value.is_object() => message(ctx, schema, index, value),
        _ => Ok(value),
    }
}

fn list<'js>(ctx: &Ctx<'js>, schema: &Schema, kind: Kind, values: Value<'js>) -> Result<Value<'js>> {
    if !matches!(kind, Kind::Message(_)) || !values.is_array() {
        return Ok(values);
    }
    let converted = (0..length(&values)?)
        .map(|index| convert(ctx, schema, kind, element(&values, index)?))
        .collect::<Result<_>>()?;
    array(ctx, converted)
}

fn oneof<'js>(
    ctx: &Ctx<'js>,
    schema: &Schema,
    described: &Message,
    member: Name,
    given: Value<'js>,
) -> Result<Value<'js>> {
    let names = &schema.names;
    if given.is_object() {
        let case = property(&given, names.case)?;
        if case.is_string() {
            let name = name_of(&case);
            let field = described.fields.iter().find(|field| {
                described.members[field.member].name == member && field.case.is_some_and(|case| case.name == name)
            });
            if let Some(field) = field {
                let value = convert(ctx, schema, field.kind, property(&given, names.value)?)?;
                return object(ctx, [(names.case, case), (names.value, value)]);
            }
        }
    }
    object(ctx, [(names.case, Value::new_undefined(ctx.clone()))])
}

fn is_message(schema: &Schema, described: &Message, value: &Value<'_>) -> Result<bool> {
    let type_name = property(value, schema.names.type_name)?;
    Ok(described.type_name.is(&type_name)
        || (type_name.is_string() && name_of(&type_name) == described.type_name_as_name))
}

/// The properties of a message to be.
pub struct NewMessage<'js, 'schema> {
    ctx: &'schema Ctx<'js>,
    properties: Vec<(Name, Value<'js>)>,
}

impl<'js, 'schema> NewMessage<'js, 'schema> {
    pub fn new(ctx: &'schema Ctx<'js>, schema: &Schema, described: &Message) -> Self {
        let mut properties = Vec::with_capacity(described.members.len() + 2);
        properties.push((schema.names.type_name, described.type_name.get(ctx)));
        Self { ctx, properties }
    }

    pub fn push(&mut self, name: Name, value: Value<'js>) {
        self.properties.push((name, value));
    }

    pub fn finish(self) -> Result<Value<'js>> {
        object(self.ctx, self.properties)
    }
}
