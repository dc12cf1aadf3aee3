use std::cell::OnceCell;

use javy_plugin_api::javy::quickjs::{Array, Ctx, Exception, Result, Value};

use crate::interpreter::{self, Constant, Name};

/// All messages of the contract. A message is named by its index.
pub struct Schema {
    pub messages: Vec<Message>,
    pub names: Names,
}

/// Properties that every message may have.
pub struct Names {
    pub type_name: Name,
    pub unknown: Name,
    pub case: Name,
    pub value: Name,
    pub number: Name,
    pub wire_type: Name,
    pub data: Name,
}

pub struct Message {
    pub type_name: Constant,
    pub type_name_as_name: Name,
    pub members: Vec<Member>,
    /// In the order of their numbers.
    pub fields: Vec<Field>,
}

/// A property of the object that a message is: a field, or a oneof and its fields.
pub struct Member {
    pub name: Name,
    pub kind: MemberKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum MemberKind {
    /// Always there; its zero value is not encoded.
    Implicit(Kind),
    /// There if it is set.
    Optional(Kind),
    Repeated(Kind),
    Oneof,
}

pub struct Field {
    pub number: u32,
    pub kind: Kind,
    pub member: usize,
    /// Of a field in a oneof.
    pub case: Option<Case>,
}

#[derive(Clone, Copy)]
pub struct Case {
    pub name: Name,
    pub text: Constant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Uint32,
    Uint64,
    Bool,
    String,
    Bytes,
    Enum,
    Message(usize),
}

impl Kind {
    pub fn is_packable(self) -> bool {
        matches!(self, Kind::Uint32 | Kind::Uint64 | Kind::Bool | Kind::Enum)
    }
}

thread_local! {
    static SCHEMA: OnceCell<&'static Schema> = const { OnceCell::new() };
}

pub fn get() -> &'static Schema {
    SCHEMA.with(|schema| schema.get().copied().expect("defined before the snapshot"))
}

/// `define(messages)`, called once by the bundle. A message is `[type name, members]`; a member `[name, number, kind, label]`, or
/// `[name, fields]` for a oneof. A kind is the name of a scalar, or the index of a message.
pub fn define<'js>(ctx: Ctx<'js>, messages: Array<'js>) -> Result<()> {
    let name = |text: &str| Name::new(&ctx, text);
    let names = Names {
        type_name: name("$typeName"),
        unknown: name("$unknown"),
        case: name("case"),
        value: name("value"),
        number: name("no"),
        wire_type: name("wireType"),
        data: name("data"),
    };
    let messages = messages.iter().map(|message| read_message(&ctx, message?)).collect::<Result<_>>()?;
    SCHEMA.with(|schema| {
        schema
            .set(Box::leak(Box::new(Schema { messages, names })))
            .map_err(|_| Exception::throw_message(&ctx, "the schema is defined"))
    })
}

fn read_message<'js>(ctx: &Ctx<'js>, message: Array<'js>) -> Result<Message> {
    let type_name: String = message.get(0)?;
    let mut read = Message {
        type_name: constant(ctx, &type_name)?,
        type_name_as_name: Name::new(ctx, &type_name),
        members: Vec::new(),
        fields: Vec::new(),
    };
    for (index, member) in message.get::<Array>(1)?.iter::<Array>().enumerate() {
        let member = member?;
        let name: String = member.get(0)?;
        let kind = if member.len() == 2 {
            for field in member.get::<Array>(1)?.iter::<Array>() {
                let field = field?;
                let case: String = field.get(0)?;
                let case = Case { name: Name::new(ctx, &case), text: constant(ctx, &case)? };
                read.fields.push(read_field(ctx, &field, index, Some(case))?);
            }
            MemberKind::Oneof
        } else {
            let field = read_field(ctx, &member, index, None)?;
            let kind = match member.get::<String>(3)?.as_str() {
                "implicit" => MemberKind::Implicit(field.kind),
                "optional" => MemberKind::Optional(field.kind),
                "repeated" => MemberKind::Repeated(field.kind),
                label => return Err(Exception::throw_message(ctx, &format!("a label {label}"))),
            };
            read.fields.push(field);
            kind
        };
        read.members.push(Member { name: Name::new(ctx, &name), kind });
    }
    read.fields.sort_by_key(|field| field.number);
    Ok(read)
}

fn read_field<'js>(ctx: &Ctx<'js>, field: &Array<'js>, member: usize, case: Option<Case>) -> Result<Field> {
    Ok(Field { number: field.get(1)?, kind: read_kind(ctx, field.get(2)?)?, member, case })
}

fn read_kind<'js>(ctx: &Ctx<'js>, kind: Value<'js>) -> Result<Kind> {
    if let Some(message) = kind.as_number() {
        return Ok(Kind::Message(message as usize));
    }
    match kind.get::<String>()?.as_str() {
        "uint32" => Ok(Kind::Uint32),
        "uint64" => Ok(Kind::Uint64),
        "bool" => Ok(Kind::Bool),
        "string" => Ok(Kind::String),
        "bytes" => Ok(Kind::Bytes),
        "enum" => Ok(Kind::Enum),
        kind => Err(Exception::throw_message(ctx, &format!("fields of the kind {kind} are not known"))),
    }
}

/// The string that the interpreter itself has for the name, so that comparing is mostly comparing addresses.
fn constant(ctx: &Ctx<'_>, text: &str) -> Result<Constant> {
    interpreter::string(ctx, text).map(Constant::new)
}
