use javy_plugin_api::javy::quickjs::{Ctx, Error, Exception, Result, Value};

use super::{
    create::{NewMessage, zero_member},
    reader::{LENGTH_DELIMITED, Malformed, Reader},
    schema::{Field, Kind, MemberKind, Message, Schema},
};
use crate::interpreter::{Name, array, big_integer, bytes, element, length, name_of, object, property, string};

/// Messages within messages, groups of unknown fields included.
const MAXIMUM_DEPTH: u32 = 100;

pub fn message<'js>(
    ctx: &Ctx<'js>,
    schema: &Schema,
    message: usize,
    bytes: &[u8],
    keep_unknown: bool,
) -> Result<Value<'js>> {
    let mut decoder = Decoder { ctx, schema, reader: Reader::new(bytes), keep_unknown, depth: 0 };
    decoder.message(message, bytes.len(), None).map_err(|error| match error {
        Failed::Malformed => Exception::throw_message(ctx, "not decodable"),
        Failed::Interpreter(error) => error,
    })
}

type Decoded<Answer> = std::result::Result<Answer, Failed>;

enum Failed {
    Malformed,
    Interpreter(Error),
}

impl From<Malformed> for Failed {
    fn from(_: Malformed) -> Self {
        Failed::Malformed
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed::Interpreter(error)
    }
}

/// What is known of a member so far.
enum Slot<'js> {
    Empty,
    One(Value<'js>),
    Many(Vec<Value<'js>>),
    /// The set field of a oneof: its index among the message's fields.
    Case(usize, Value<'js>),
}

struct Decoder<'js, 'a> {
    ctx: &'a Ctx<'js>,
    schema: &'a Schema,
    reader: Reader<'a>,
    keep_unknown: bool,
    depth: u32,
}

impl<'js, 'a> Decoder<'js, 'a> {
    /// `length` bytes, or more if its last field says so: fields are bound by the whole input alone. `earlier` is the message of the same
    /// field that came before, with which this one is merged.
    fn message(&mut self, index: usize, length: usize, earlier: Option<Value<'js>>) -> Decoded<Value<'js>> {
        self.depth += 1;
        if self.depth > MAXIMUM_DEPTH {
            return Err(Failed::Malformed);
        }
        let described = &self.schema.messages[index];
        let end = self.reader.position.saturating_add(length);
        let (mut slots, mut unknown) = match earlier {
            Some(earlier) => self.take_apart(described, &earlier)?,
            None => (described.members.iter().map(|_| Slot::Empty).collect(), Vec::new()),
        };
        while self.reader.position < end {
            let (number, wire_type) = self.reader.tag()?;
            match described.fields.binary_search_by_key(&number, |field| field.number) {
                Ok(found) => {
                    let slot = &mut slots[described.fields[found].member];
                    self.field(described, found, wire_type, slot)?;
                }
                Err(_) => {
                    let data = self.reader.skip(wire_type, number, MAXIMUM_DEPTH - self.depth)?;
                    if self.keep_unknown {
                        unknown.push(self.unknown(number, wire_type, data)?);
                    }
                }
            }
        }
        self.depth -= 1;
        self.put_together(described, slots, unknown)
    }

    fn field(&mut self, described: &Message, found: usize, wire_type: u32, slot: &mut Slot<'js>) -> Decoded<()> {
        let field = &described.fields[found];
        if let MemberKind::Repeated(kind) = described.members[field.member].kind {
            if !matches!(slot, Slot::Many(_)) {
                *slot = Slot::Many(Vec::new());
            }
            let Slot::Many(values) = slot else { return Ok(()) };
            if wire_type != LENGTH_DELIMITED || !kind.is_packable() {
                values.push(self.value(kind, None)?);
                return Ok(());
            }
            let length = self.reader.uint32()? as usize;
            let end = self.reader.position.saturating_add(length);
            while self.reader.position < end {
                values.push(self.value(kind, None)?);
            }
            return Ok(());
        }
        let earlier = match std::mem::replace(slot, Slot::Empty) {
            Slot::One(value) => Some(value),
            Slot::Case(case, value) if case == found => Some(value),
            _ => None,
        };
        let value = self.value(field.kind, earlier)?;
        *slot = if field.case.is_some() { Slot::Case(found, value) } else { Slot::One(value) };
        Ok(())
    }

    fn value(&mut self, kind: Kind, earlier: Option<Value<'js>>) -> Decoded<Value<'js>> {
        let ctx = self.ctx;
        Ok(match kind {
            Kind::Uint32 => Value::new_number(ctx.clone(), self.reader.uint32()?.into()),
            Kind::Uint64 => big_integer(ctx, self.reader.uint64()?)?,
            Kind::Bool => Value::new_bool(ctx.clone(), self.reader.bool()?),
            Kind::Enum => Value::new_int(ctx.clone(), self.reader.uint32()? as i32),
            Kind::String => string(ctx, self.reader.string()?)?,
            Kind::Bytes => bytes(ctx, self.reader.bytes()?)?,
            Kind::Message(index) => {
                let length = self.reader.uint32()? as usize;
                self.message(index, length, earlier)?
            }
        })
    }

    fn unknown(&self, number: u32, wire_type: u32, data: &[u8]) -> Result<Value<'js>> {
        let names = &self.schema.names;
        let number = Value::new_number(self.ctx.clone(), number.into());
        let wire_type = Value::new_int(self.ctx.clone(), wire_type as i32);
        object(self.ctx, [(names.number, number), (names.wire_type, wire_type), (names.data, bytes(self.ctx, data)?)])
    }

    fn put_together(
        &self,
        described: &Message,
        slots: Vec<Slot<'js>>,
        unknown: Vec<Value<'js>>,
    ) -> Decoded<Value<'js>> {
        let names = &self.schema.names;
        let mut new = NewMessage::new(self.ctx, self.schema, described);
        for (member, slot) in described.members.iter().zip(slots) {
            match slot {
                Slot::Empty => {
                    if let Some(zero) = zero_member(self.ctx, self.schema, member.kind)? {
                        new.push(member.name, zero);
                    }
                }
                Slot::One(value) => new.push(member.name, value),
                Slot::Many(values) => new.push(member.name, array(self.ctx, values)?),
                Slot::Case(field, value) => {
                    let case = described.fields[field].case.expect("a field of a oneof").text.get(self.ctx);
                    new.push(member.name, object(self.ctx, [(names.case, case), (names.value, value)])?);
                }
            }
        }
        if !unknown.is_empty() {
            new.push(names.unknown, array(self.ctx, unknown)?);
        }
        Ok(new.finish()?)
    }

    /// A message as it was before `put_together`.
    fn take_apart(&self, described: &Message, message: &Value<'js>) -> Result<(Vec<Slot<'js>>, Vec<Value<'js>>)> {
        let names = &self.schema.names;
        let slots = described
            .members
            .iter()
            .enumerate()
            .map(|(index, member)| {
                let value = property(message, member.name)?;
                Ok(match member.kind {
                    MemberKind::Repeated(_) => Slot::Many(elements(&value)?),
                    MemberKind::Oneof => {
                        let case = property(&value, names.case)?;
                        match described.fields.iter().position(|field| is_case(field, index, &case)) {
                            Some(field) => Slot::Case(field, property(&value, names.value)?),
                            None => Slot::Empty,
                        }
                    }
                    _ if value.is_undefined() => Slot::Empty,
                    _ => Slot::One(value),
                })
            })
            .collect::<Result<_>>()?;
        let unknown = property(message, names.unknown)?;
        Ok((slots, if unknown.is_undefined() { Vec::new() } else { elements(&unknown)? }))
    }
}

fn is_case(field: &Field, member: usize, case: &Value<'_>) -> bool {
    let name: Option<Name> = case.is_string().then(|| name_of(case));
    field.member == member && field.case.is_some_and(|case| Some(case.name) == name)
}

fn elements<'js>(array: &Value<'js>) -> Result<Vec<Value<'js>>> {
    (0..length(array)?).map(|index| element(array, index)).collect()
}
