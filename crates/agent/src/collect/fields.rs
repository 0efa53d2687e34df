//! Values of a row made from the bytes that a host holds.

use model::asset::Row;
use model::time::Timestamp;
use serde_json::Value;

/// Longest text in a row; longer ones are cut and end in `…`.
pub const TEXT_BYTES_MAX: usize = 4096;
/// Most members of a list in a row; the last one then says how many were left out.
pub const LIST_MEMBERS_MAX: usize = 256;

/// A row being filled. What is not known is not set.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Fields(Row);

impl Fields {
    pub fn set(mut self, column: &'static str, value: impl Into<Value>) -> Self {
        self.0.insert(column.to_owned(), value.into());
        self
    }

    pub fn maybe(self, column: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.set(column, value),
            None => self,
        }
    }

    /// Text of the host: see [`text`].
    pub fn text(self, column: &'static str, bytes: impl AsRef<[u8]>) -> Self {
        self.set(column, text(bytes.as_ref()))
    }

    pub fn time(self, column: &'static str, at: Option<Timestamp>) -> Self {
        self.maybe(column, at.map(|it| it.to_string()))
    }

    /// An array of texts.
    pub fn list(self, column: &'static str, members: impl IntoIterator<Item = String>) -> Self {
        let mut members = members.into_iter();
        let mut list: Vec<Value> =
            members.by_ref().take(LIST_MEMBERS_MAX).map(Value::String).collect();
        let more = members.count();
        if more > 0 {
            list.push(Value::String(format!("… {more}")));
        }
        self.set(column, list)
    }

    pub fn row(self) -> Row {
        self.0
    }
}

/// Bytes as text that is safe to show: what is not UTF-8 and control characters become `\xNN`,
/// so that two different names never look the same. Cut at [`TEXT_BYTES_MAX`].
pub fn text(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(bytes.len().min(TEXT_BYTES_MAX));
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if out.len() >= TEXT_BYTES_MAX {
                out.push('…');
                return out;
            }
            if letter.is_control() {
                let _ = write!(out, "\\x{:02x}", u32::from(letter));
            } else {
                out.push(letter);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_safe_and_distinct() {
        for (bytes, expected) in [
            (&b"plain"[..], "plain"),
            ("名前".as_bytes(), "名前"),
            (b"caf\xe9", "caf\\xe9"),
            (b"caf\xe8", "caf\\xe8"),
            (b"a\x1b[31mb\n", "a\\x1b[31mb\\x0a"),
            (b"", ""),
        ] {
            assert_eq!(text(bytes), expected);
        }
        assert_eq!(text(&[b'x'; 5000]), "x".repeat(4096) + "…");
        assert!(text(&vec![0xff; 100_000]).len() < 500_000);
    }

    #[test]
    fn rows_hold_what_is_known() {
        let row = Fields::default()
            .set("port", 22)
            .maybe("user", None::<&str>)
            .time("at", Some(Timestamp::from_secs(0)))
            .list("names", (0..300).map(|it| it.to_string()))
            .row();
        assert_eq!(row.get("port"), Some(&Value::from(22)));
        assert_eq!(row.get("user"), None);
        assert_eq!(row.get("at"), Some(&Value::from("1970-01-01T00:00:00Z")));
        let names = row.get("names").and_then(Value::as_array).unwrap();
        assert_eq!((names.len(), names.last()), (257, Some(&Value::from("… 44"))));
    }
}
