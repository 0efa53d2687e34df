//! Answers of the API as a person reads them in a terminal.

use std::fmt::Write as _;

use serde_json::Value;

use crate::terminal::{self, cut, fold, width_of};

/// Columns that hold sentences and paths are not cut below this; then each item is a paragraph.
const WIDE_COLUMN_MIN: usize = 24;
/// Columns of a line where the terminal does not say how many it has.
const WIDTH_DEFAULT: usize = 100;
const GAP: usize = 2;
const INDENT: usize = 2;
const DIM: &str = "2";

/// Which of two texts is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Chinese,
}

impl Language {
    /// As `LC_ALL`, `LC_MESSAGES` or `LANG` says.
    fn of_environment() -> Self {
        let set = |name| std::env::var(name).ok().filter(|it| !it.is_empty());
        let said = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set);
        if said.is_some_and(|it| it.starts_with("zh")) { Self::Chinese } else { Self::English }
    }

    const fn key(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }
}

/// Where the text goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) language: Language,
    /// `None`: a file or a pipe, which takes lines of any length.
    pub(super) width: Option<usize>,
    pub(super) colour: bool,
}

impl Style {
    pub(super) fn of_environment() -> Self {
        Self {
            language: Language::of_environment(),
            width: terminal::columns(),
            colour: terminal::has_colours(),
        }
    }

    fn paint(self, code: Option<&str>, text: &str) -> String {
        match code {
            Some(code) if self.colour && !text.is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            Some(_) | None => text.to_owned(),
        }
    }

    fn line(self) -> usize {
        self.width.unwrap_or(WIDTH_DEFAULT)
    }
}

/// A heading and where its value stands in each item.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    pointer: &'static str,
    /// Sentences and paths, which are cut where room is short.
    wide: bool,
}

impl Column {
    pub(super) const fn new(title: &'static str, pointer: &'static str) -> Self {
        Self { title, pointer, wide: false }
    }

    pub(super) const fn wide(title: &'static str, pointer: &'static str) -> Self {
        Self { title, pointer, wide: true }
    }

    fn of(&self, item: &Value, style: Style) -> String {
        let value = item.pointer(self.pointer).unwrap_or(&Value::Null);
        // A text in both languages.
        shown(value.get(style.language.key()).unwrap_or(value))
    }
}

/// `items` as a table; where the terminal is too narrow for one, a paragraph each. `none` says
/// that there are none.
pub(super) fn of(items: &[Value], columns: &[Column], none: &str, style: Style) -> String {
    if items.is_empty() {
        return format!("{none}\n");
    }
    // What no item has would only take room.
    let columns: Vec<&Column> = columns
        .iter()
        .filter(|it| items.iter().any(|item| !it.of(item, style).is_empty()))
        .collect();
    let rows: Vec<Vec<String>> =
        items.iter().map(|item| columns.iter().map(|it| it.of(item, style)).collect()).collect();
    match widths(&columns, &rows, style.width) {
        Some(widths) => table(&columns, &rows, &widths, style),
        None => paragraphs(&columns, &rows, style),
    }
}

/// How wide each column is; `None` when they do not fit.
fn widths(columns: &[&Column], rows: &[Vec<String>], max: Option<usize>) -> Option<Vec<usize>> {
    let widest = |place: usize, title: &str| {
        rows.iter()
            .filter_map(|it| it.get(place))
            .map(|it| width_of(it))
            .max()
            .unwrap_or(0)
            .max(width_of(title))
    };
    let mut widths: Vec<usize> =
        columns.iter().enumerate().map(|(place, it)| widest(place, it.title)).collect();
    let Some(max) = max else { return Some(widths) };
    let total =
        |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    loop {
        let over = total(&widths).saturating_sub(max);
        if over == 0 {
            return Some(widths);
        }
        let wide = columns.iter().zip(&mut widths).filter(|(it, _)| it.wide);
        let (_, width) = wide.max_by_key(|(_, width)| **width)?;
        // The widest gives way until it is no wider than it may get.
        let less = (*width).saturating_sub(over).max(WIDE_COLUMN_MIN);
        if less >= *width {
            return None;
        }
        *width = less;
    }
}

fn table(columns: &[&Column], rows: &[Vec<String>], widths: &[usize], style: Style) -> String {
    let mut out = String::new();
    let mut line = |cells: Vec<(String, Option<&str>)>| {
        let mut text = String::new();
        let last = cells.len().saturating_sub(1);
        for (place, ((cell, code), wide)) in cells.into_iter().zip(widths).enumerate() {
            let cell = cut(&cell, *wide);
            text.push_str(&style.paint(code, &cell));
            if place < last {
                text.extend(std::iter::repeat_n(' ', wide.saturating_sub(width_of(&cell)) + GAP));
            }
        }
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(columns.iter().map(|it| (it.title.to_owned(), Some(DIM))).collect());
    for row in rows {
        line(row.iter().map(|it| (it.clone(), colour_of(it))).collect());
    }
    out
}

/// The first value as the head, below it what is long, because it says the most, then the rest.
fn paragraphs(columns: &[&Column], rows: &[Vec<String>], style: Style) -> String {
    let room = style.line();
    let mut out = String::new();
    for row in rows {
        let mut used = 0;
        let mut cells: Vec<_> = columns.iter().zip(row).collect();
        if let Some((_, rest)) = cells.split_first_mut() {
            rest.sort_by_key(|(column, _)| !column.wide);
        }
        for (column, cell) in cells.into_iter().filter(|(_, cell)| !cell.is_empty()) {
            let title = column.title.to_lowercase();
            if used == 0 {
                let _ = write!(out, "{}", style.paint(colour_of(cell), cell));
                used = room;
                continue;
            }
            let taken = width_of(&title) + 1 + width_of(cell);
            if column.wide || used + GAP + taken > room {
                let _ = write!(out, "\n{}", " ".repeat(INDENT));
                used = INDENT;
            } else {
                out.push_str("  ");
                used += GAP;
            }
            let text = fold(cell, room, INDENT + width_of(&title) + 1);
            let _ = write!(
                out,
                "{} {}",
                style.paint(Some(DIM), &title),
                style.paint(colour_of(cell), &text)
            );
            used = if column.wide { room } else { used + taken };
        }
        out.push('\n');
    }
    out
}

/// Words that stand out: how bad it is, and what went wrong.
fn colour_of(word: &str) -> Option<&'static str> {
    match word {
        "critical" => Some("1;97;41"),
        "high" | "failed" => Some("1;31"),
        "medium" | "partial" | "degraded" => Some("33"),
        "low" => Some("34"),
        _ => None,
    }
}

/// What an action would do.
pub(super) fn plan(answer: &Value, style: Style) -> String {
    let mut out = format!("{}\n", fold(&text(answer.get("summary"), style), style.line(), 0));
    for (name, mark) in [("effects", '-'), ("warnings", '!')] {
        for it in list(answer, name) {
            let _ = writeln!(out, "  {mark} {}", fold(&text(Some(it), style), style.line(), 4));
        }
    }
    out
}

/// What a whitelist entry would have silenced.
pub(super) fn dry_run(answer: &Value, columns: &[Column], style: Style) -> String {
    let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or_default();
    let mut out = format!(
        "would have silenced {} of {} of the last 30 days, on {}\n",
        number("silenced"),
        counted(number("looked_at"), "alarm"),
        counted(number("hosts"), "server")
    );
    if answer.get("complete") == Some(&Value::Bool(false)) {
        out.push_str("there were more alarms than could be looked at\n");
    }
    for it in list(answer, "warnings") {
        let _ = writeln!(out, "! {}", fold(&text(Some(it), style), style.line(), 2));
    }
    let found = list(answer, "findings");
    if !found.is_empty() {
        out.push_str(&of(found, columns, "", style));
    }
    out
}

fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Columns of the names of an alarm's facts.
const LABEL_WIDTH: usize = 11;

/// One alarm: what happened, what to do, how sure it is, and then its proof.
pub(super) fn alarm(answer: &Value, style: Style) -> String {
    let item = answer.get("finding").unwrap_or(&Value::Null);
    let part = |pointer: &str| item.pointer(pointer).map(shown).unwrap_or_default();
    let room = style.line();
    let mut out = format!("{}\n\n", fold(&text(item.get("sentence"), style), room, 0));
    let row = |out: &mut String, name: &str, value: &str| {
        if !value.is_empty() {
            let label = style.paint(Some(DIM), &format!("{name:<LABEL_WIDTH$}"));
            let value = style.paint(colour_of(value), &fold(value, room, LABEL_WIDTH));
            let _ = writeln!(out, "{label}{value}");
        }
    };
    row(&mut out, "to do", &text(answer.get("advice"), style));
    row(&mut out, "why", &text(answer.get("why"), style));
    let sure = answer.get("confidence").and_then(Value::as_u64).filter(|it| *it > 0);
    row(&mut out, "sure", &sure.map(|it| format!("{it}%")).unwrap_or_default());
    let actions = list(answer, "actions").iter().map(shown).collect::<Vec<_>>().join(", ");
    row(&mut out, "actions", &actions);
    out.push('\n');
    for (name, pointer) in [
        ("id", "/id"),
        ("severity", "/severity"),
        ("status", "/status"),
        ("host", "/host/name"),
        ("rule", "/rule"),
        ("subject", "/subject"),
        ("technique", "/technique"),
        ("count", "/count"),
        ("first", "/first_at"),
        ("last", "/last_at"),
        ("incident", "/incident"),
        ("handled", "/handling/action"),
        ("by", "/handling/by"),
        ("remark", "/handling/remark"),
    ] {
        row(&mut out, name, &part(pointer));
    }
    let _ = writeln!(out, "\n{}", style.paint(Some(DIM), "evidence"));
    for it in list(answer, "evidence") {
        evidence(it, room, &mut out);
    }
    let responses = list(answer, "responses");
    if !responses.is_empty() {
        let _ = writeln!(out, "\n{}", style.paint(Some(DIM), "responses"));
        out.push_str(&of(responses, RESPONSES, "", style));
    }
    out
}

const RESPONSES: &[Column] = &[
    Column::new("ID", "/id"),
    Column::new("ACTION", "/action"),
    Column::new("STATE", "/state"),
    Column::new("BY", "/by"),
    Column::wide("WHAT", "/subject"),
    Column::wide("REASON", "/reason"),
];

/// Columns of the kinds of evidence, with the gap after them.
const KIND_WIDTH: usize = 15;

/// One piece of evidence: its values in a line, lines of a log or of a change in a line each,
/// processes as a tree from the first to the one the alarm is about.
fn evidence(it: &Value, room: usize, out: &mut String) {
    let kind = it.get("type").map(shown).unwrap_or_default();
    let mut line = |text: &str| {
        let _ = writeln!(out, "  {kind:<12} {}", fold(text, room, KIND_WIDTH));
    };
    for (depth, process) in list(it, "chain").iter().rev().enumerate() {
        let part = |name: &str| process.get(name).map(shown).unwrap_or_default();
        let indent = "  ".repeat(depth.saturating_sub(1));
        let branch = if depth == 0 { "" } else { "└ " };
        let command = match part("command") {
            empty if empty.is_empty() => part("executable"),
            command => command,
        };
        let mark =
            if process.get("is_subject") == Some(&Value::Bool(true)) { "  <- suspect" } else { "" };
        line(&format!("{indent}{branch}{} {} {command}{mark}", part("pid"), part("user")));
    }
    for text in list(it, "lines") {
        line(&text.get("text").map(shown).unwrap_or_default());
    }
    for (name, sign) in [("removed", '-'), ("added", '+')] {
        for text in list(it, name) {
            line(&format!("{sign} {}", shown(text)));
        }
    }
    if kind == "fact" {
        let part = |name: &str| it.get(name).map(shown).unwrap_or_default();
        line(&format!("{} {}", part("name"), part("value")));
        return;
    }
    let plain = it.as_object().into_iter().flatten();
    let plain: Vec<_> = plain
        .filter(|(name, value)| *name != "type" && !value.is_null())
        .filter(|(name, value)| *name == "value" || !value.is_array())
        .map(|(name, value)| format!("{name}={}", several(value)))
        .collect();
    if !plain.is_empty() {
        line(&plain.join(" "));
    }
}

/// The values of a list one after the other, any other value as it is.
fn several(value: &Value) -> String {
    match value {
        Value::Array(all) => all.iter().map(shown).collect::<Vec<_>>().join(", "),
        one => shown(one),
    }
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text(value: Option<&Value>, style: Style) -> String {
    value.and_then(|it| it.get(style.language.key())).map(shown).unwrap_or_default()
}

/// Nothing is empty, times end at the second, and what a host said moves no cursor.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => whole_seconds(text).unwrap_or_else(|| text.clone()),
        other => other.to_string(),
    };
    let harmless = |it: char| if it.is_control() || is_bidi(it) { '\u{fffd}' } else { it };
    text.chars().map(harmless).collect()
}

/// `2026-11-24 06:00:00Z` of a time as the API writes it; `None` for any other text.
fn whole_seconds(text: &str) -> Option<String> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    text.parse::<model::time::Timestamp>().ok()?;
    let (time, _) = time.split_once('.').unwrap_or((time, ""));
    Some(format!("{date} {time}Z"))
}

/// Characters that change the order in which others are shown.
const fn is_bidi(it: char) -> bool {
    matches!(it, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
