use prost::encoding::decode_varint;

/// The bytes are no message.
#[derive(Debug)]
pub struct Malformed;

pub type Read<Value> = Result<Value, Malformed>;

const VARINT: u32 = 0;
const BIT64: u32 = 1;
pub const LENGTH_DELIMITED: u32 = 2;
const START_GROUP: u32 = 3;
const END_GROUP: u32 = 4;
const BIT32: u32 = 5;

/// Takes what `BinaryReader` of protobuf-es takes, and refuses what it refuses: two engines must not disagree on an envelope.
pub struct Reader<'a> {
    bytes: &'a [u8],
    pub position: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// At most ten bytes; of the tenth one bit counts.
    pub fn uint64(&mut self) -> Read<u64> {
        const LONGEST: usize = 10;
        let rest = &self.bytes[self.position..];
        let length = 1 + rest.iter().take(LONGEST).position(|byte| *byte < 0x80).ok_or(Malformed)?;
        let value = if length < LONGEST {
            decode_varint(&mut &rest[..length])
        } else {
            let mut bytes: [u8; LONGEST] = rest[..LONGEST].try_into().expect("ten bytes");
            bytes[LONGEST - 1] &= 1;
            decode_varint(&mut &bytes[..])
        };
        self.position += length;
        value.map_err(|_| Malformed)
    }

    pub fn uint32(&mut self) -> Read<u32> {
        self.uint64().map(|value| value as u32)
    }

    /// Of the same set as the JavaScript reader: one byte, or any varint.
    pub fn bool(&mut self) -> Read<bool> {
        self.uint64().map(|value| value != 0)
    }

    /// Number and wire type of a field.
    pub fn tag(&mut self) -> Read<(u32, u32)> {
        let start = self.position;
        let tag = self.uint32()?;
        let length = self.position - start;
        if length > 5 || (length == 5 && self.bytes[self.position - 1] > 0x0f) {
            return Err(Malformed);
        }
        let (number, wire_type) = (tag >> 3, tag & 7);
        if number == 0 || wire_type > BIT32 { Err(Malformed) } else { Ok((number, wire_type)) }
    }

    pub fn bytes(&mut self) -> Read<&'a [u8]> {
        let length = self.uint32()? as usize;
        self.take(length)
    }

    pub fn string(&mut self) -> Read<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    /// The bytes of a field after its tag.
    pub fn skip(&mut self, wire_type: u32, number: u32, groups_left: u32) -> Read<&'a [u8]> {
        let start = self.position;
        match wire_type {
            VARINT => {
                let length = 1 + self.bytes[start..].iter().position(|byte| *byte < 0x80).ok_or(Malformed)?;
                self.take(length)?;
            }
            BIT64 => drop(self.take(8)?),
            BIT32 => drop(self.take(4)?),
            LENGTH_DELIMITED => drop(self.bytes()?),
            START_GROUP if groups_left > 0 => loop {
                match self.tag()? {
                    (end, END_GROUP) if end == number => break,
                    (_, END_GROUP) => return Err(Malformed),
                    (inner, wire_type) => drop(self.skip(wire_type, inner, groups_left - 1)?),
                }
            },
            _ => return Err(Malformed),
        }
        Ok(&self.bytes[start..self.position])
    }

    fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        let end = self.position.checked_add(length).ok_or(Malformed)?;
        let part = self.bytes.get(self.position..end).ok_or(Malformed)?;
        self.position = end;
        Ok(part)
    }
}
