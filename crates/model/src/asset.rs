//! Asset tables: their specification, rows, keys and the digest both sides compare.
//!
//! The agent sends its specifications; the server stores rows without knowing what
//! they mean and the console draws each table from its specification.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One row: column name to value. Absent means not known, never "no".
pub type Row = Map<String, Value>;

/// A table as its collector declares it.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// `account`, `port`, ...: stable for ever.
    pub kind: &'static str,
    pub title: (&'static str, &'static str),
    pub about: (&'static str, &'static str),
    /// Columns that identify a row within a host.
    pub key: &'static [&'static str],
    pub columns: &'static [Column],
}

#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    pub form: ColumnForm,
    /// English and Chinese heading.
    pub title: (&'static str, &'static str),
    /// One sentence: what the value is, its unit, its source.
    pub about: &'static str,
    /// Changes all the time; kept out of the digest and the history.
    pub volatile: bool,
    /// Shown in the table without being asked for.
    pub shown: bool,
}

crate::words! {
    /// How a value is read and shown.
    ColumnForm {
        Text = "text",
        Integer = "integer",
        Boolean = "boolean",
        /// RFC 3339.
        Time = "time",
        Bytes = "bytes",
        Path = "path",
        Hash = "hash",
        Address = "address",
        Port = "port",
        User = "user",
        /// Array of texts.
        List = "list",
        /// `dangerous`, `attention`, `safe` or `unknown`.
        Level = "level",
    }
}

/// [`Spec`] as it travels and is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TableSpec {
    pub kind: String,
    pub title: crate::finding::Text,
    pub about: crate::finding::Text,
    pub key: Vec<String>,
    pub columns: Vec<ColumnSpec>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ColumnSpec {
    pub name: String,
    pub form: ColumnForm,
    pub title: crate::finding::Text,
    pub about: String,
    pub volatile: bool,
    pub shown: bool,
}

impl From<&Spec> for TableSpec {
    fn from(spec: &Spec) -> Self {
        let text =
            |it: (&str, &str)| crate::finding::Text { en: it.0.to_owned(), zh: it.1.to_owned() };
        Self {
            kind: spec.kind.to_owned(),
            title: text(spec.title),
            about: text(spec.about),
            key: spec.key.iter().map(|it| (*it).to_owned()).collect(),
            columns: spec
                .columns
                .iter()
                .map(|it| ColumnSpec {
                    name: it.name.to_owned(),
                    form: it.form,
                    title: text(it.title),
                    about: it.about.to_owned(),
                    volatile: it.volatile,
                    shown: it.shown,
                })
                .collect(),
        }
    }
}

/// The key of `row`: the values of the key columns joined by `|`, with `|` and `\` escaped.
pub fn row_key(key_columns: &[&str], row: &Row) -> String {
    let mut out = String::new();
    for (index, column) in key_columns.iter().enumerate() {
        if index > 0 {
            out.push('|');
        }
        let text = match row.get(*column) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(it)) => it.clone(),
            Some(other) => other.to_string(),
        };
        for letter in text.chars() {
            if matches!(letter, '|' | '\\') {
                out.push('\\');
            }
            out.push(letter);
        }
    }
    out
}

/// Digest of a set of rows that does not depend on their order: adding and removing a row
/// is one addition or subtraction, so both sides keep it up to date without a second pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetDigest(pub u128);

impl SetDigest {
    pub fn add(&mut self, row: RowDigest) {
        self.0 = self.0.wrapping_add(row.0);
    }

    pub fn remove(&mut self, row: RowDigest) {
        self.0 = self.0.wrapping_sub(row.0);
    }

    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    /// `None` unless `bytes` is 16 bytes long.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(u128::from_le_bytes(bytes.try_into().ok()?)))
    }
}

/// First half of BLAKE3 over the key and the steady columns in name order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowDigest(pub u128);

impl RowDigest {
    /// `volatile` names the columns to leave out.
    pub fn of(key: &str, row: &Row, volatile: &dyn Fn(&str) -> bool) -> Self {
        let mut columns: Vec<_> =
            row.iter().filter(|(name, value)| !value.is_null() && !volatile(name)).collect();
        columns.sort_by_key(|(name, _)| *name);
        let mut hasher = blake3::Hasher::new();
        let mut field = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        field(key.as_bytes());
        for (name, value) in columns {
            field(name.as_bytes());
            field(value.to_string().as_bytes());
        }
        let mut half = [0; 16];
        half.copy_from_slice(hasher.finalize().as_bytes().split_at(16).0);
        Self(u128::from_le_bytes(half))
    }
}

/// Longest row, as JSON; longer ones are cut by their collector.
pub const ROW_BYTES_MAX: usize = 64 * 1024;
/// Most rows in one table of one host.
pub const TABLE_ROWS_MAX: usize = 200_000;
