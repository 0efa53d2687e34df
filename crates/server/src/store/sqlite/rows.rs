//! Small helpers: failures, cursors, words in columns.

use std::collections::HashSet;
use std::str::FromStr;

use model::because;
use model::because::{Because, Reason};
use rusqlite::types::{FromSqlError, Type, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::{Cursor, HostRef, PAGE_LIMIT_MAX, PageAsk, StoreError};
use model::id::{GroupId, HostId};

/// Why a piece of work on a connection failed, before it is known what it was part of.
#[derive(Debug)]
pub(super) enum Fail {
    Sql(rusqlite::Error),
    Json(serde_json::Error),
    Io(std::io::Error),
    Store(StoreError),
}

pub(super) type Out<T> = Result<T, Fail>;

impl Fail {
    pub(super) fn into_error(self, doing: &'static str) -> StoreError {
        match self {
            Self::Sql(source) => StoreError::Backend { doing, source: Box::new(source) },
            Self::Json(source) => StoreError::Backend { doing, source: Box::new(source) },
            Self::Io(source) => StoreError::Backend { doing, source: Box::new(source) },
            Self::Store(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Fail {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<serde_json::Error> for Fail {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

impl From<StoreError> for Fail {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

pub(super) fn missing(what: &'static str) -> Fail {
    StoreError::NotFound { what }.into()
}

pub(super) fn conflict(what: &'static str, detail: Because) -> Fail {
    StoreError::Conflict { what, detail }.into()
}

/// The word in column `index`.
pub(super) fn word<T: FromStr>(row: &Row<'_>, index: usize) -> rusqlite::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text = row.get_ref(index)?.as_str()?;
    text.parse()
        .map_err(|it| rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(it)))
}

/// The numbered word in column `index`.
pub(super) fn numbered<T>(
    row: &Row<'_>,
    index: usize,
    from: fn(u32) -> Option<T>,
) -> rusqlite::Result<T> {
    let number: u32 = row.get(index)?;
    from(number).ok_or_else(|| {
        let error = FromSqlError::OutOfRange(i64::from(number));
        rusqlite::Error::FromSqlConversionFailure(index, Type::Integer, Box::new(error))
    })
}

/// The JSON in column `index`.
pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, index: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(index)?.as_str()?)
        .map_err(|it| rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(it)))
}

/// The JSON in column `index`, where there is any.
pub(super) fn json_if_any<T: DeserializeOwned>(
    row: &Row<'_>,
    index: usize,
) -> rusqlite::Result<Option<T>> {
    match row.get_ref(index)? {
        ValueRef::Null => Ok(None),
        _ => json(row, index).map(Some),
    }
}

/// A reason as it is stored.
pub(super) fn why_text(why: Option<&Reason>) -> serde_json::Result<Option<String>> {
    why.map(serde_json::to_string).transpose()
}

/// A count from a column that is never negative.
pub(super) fn count(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(index)?).unwrap_or(0))
}

pub(super) fn limit(page: &PageAsk) -> usize {
    page.limit.clamp(1, PAGE_LIMIT_MAX) as usize
}

pub(super) fn encode_cursor<T: Serialize>(place: &T) -> Out<Cursor> {
    let text = serde_json::to_vec(place)?;
    Ok(Cursor(data_encoding::BASE64URL_NOPAD.encode(&text)))
}

/// Where the last page ended; `None` at the start.
pub(super) fn decode_cursor<T: DeserializeOwned>(page: &PageAsk) -> Out<Option<T>> {
    let Some(Cursor(text)) = &page.after else { return Ok(None) };
    data_encoding::BASE64URL_NOPAD
        .decode(text.as_bytes())
        .ok()
        .and_then(|it| serde_json::from_slice(&it).ok())
        .map(Some)
        .ok_or_else(|| {
            let detail = because!("input.cursor", "it does not come from this list");
            StoreError::Invalid { field: "cursor", detail }.into()
        })
}

/// Cuts `items`, of which one more than `limit` was fetched, to a page and makes its cursor
/// from the last item shown.
pub(super) fn cut_page<T, C: Serialize>(
    mut items: Vec<T>,
    limit: usize,
    place: impl Fn(&T) -> C,
) -> Out<super::super::Page<T>> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = match items.last() {
        Some(last) if more => Some(encode_cursor(&place(last))?),
        _ => None,
    };
    Ok(super::super::Page { items, next })
}

/// The hosts of a group, to test rows against.
pub(super) fn hosts_of(connection: &Connection, group: GroupId) -> Out<HashSet<i64>> {
    let mut statement = connection.prepare_cached("SELECT id FROM host WHERE group_id = ?1")?;
    let ids = statement.query_map(params![group.0], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

pub(super) fn host_ref(connection: &Connection, id: i64) -> Out<HostRef> {
    let mut statement = connection.prepare_cached("SELECT name FROM host WHERE id = ?1")?;
    let name = statement.query_row(params![id], |row| row.get(0)).optional()?;
    Ok(HostRef { id: HostId(id), name: name.ok_or_else(|| missing("host"))? })
}
