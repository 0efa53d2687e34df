//! The question of a DNS request (RFC 1035), as much as an alarm needs.

const HEADER_BYTES: usize = 12;
/// Of a name with its dots: 255 bytes on the wire.
const NAME_BYTES_MAX: usize = 253;
const IS_RESPONSE: u8 = 0x80;

/// Name and type of the first question of a request. `None` for an answer, for what was cut
/// before the type, and for anything else.
pub fn parse_question(message: &[u8]) -> Option<(String, u16)> {
    let flags = *message.get(2)?;
    let questions = u16::from_be_bytes([*message.get(4)?, *message.get(5)?]);
    if flags & IS_RESPONSE != 0 || questions == 0 {
        return None;
    }
    let mut name = String::new();
    let mut rest = message.get(HEADER_BYTES..)?;
    loop {
        let length = usize::from(*rest.first()?);
        rest = rest.get(1..)?;
        if length == 0 {
            break;
        }
        // A pointer has nothing to point at in a first question.
        if length > 63 || name.len() + 1 + length > NAME_BYTES_MAX {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        let label = rest.get(..length)?;
        name.extend(label.iter().map(|byte| printable(*byte)));
        rest = rest.get(length..)?;
    }
    if name.is_empty() {
        name.push('.');
    }
    Some((name, u16::from_be_bytes([*rest.first()?, *rest.get(1)?])))
}

/// Over TCP a message follows its length; some write the length by itself.
pub fn parse_tcp(bytes: &[u8]) -> Option<(String, u16)> {
    let length = usize::from(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]));
    if bytes.len() >= 2 + HEADER_BYTES && length + 2 >= bytes.len() {
        return parse_question(bytes.get(2..)?).or_else(|| parse_question(bytes));
    }
    parse_question(bytes)
}

/// A name may carry any bytes; only letters, digits and a few marks are shown as they are.
fn printable(byte: u8) -> char {
    match byte {
        b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => byte as char,
        b'A'..=b'Z' => byte.to_ascii_lowercase() as char,
        _ => '?',
    }
}

#[cfg(test)]
mod tests;
