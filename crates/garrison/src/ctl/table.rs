//! Answers of the API as a person reads them in a terminal.

use std::fmt::Write as _;

use serde_json::Value;

/// Longer cells are cut; `--format json` has everything.
const CELL_WIDTH_MAX: usize = 72;

/// Which of two texts is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Chinese,
}

impl Language {
    /// As `LC_ALL`, `LC_MESSAGES` or `LANG` says.
    pub(super) fn of_environment() -> Self {
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

/// A heading and where its value stands in each item.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    pointer: &'static str,
    /// The value is a text in both languages.
    both: bool,
}

impl Column {
    pub(super) const fn new(title: &'static str, pointer: &'static str) -> Self {
        Self { title, pointer, both: false }
    }

    pub(super) const fn text(title: &'static str, pointer: &'static str) -> Self {
        Self { title, pointer, both: true }
    }
}

/// A table of `items`; one line says that there is nothing.
pub(super) fn of(items: &[Value], columns: &[Column], language: Language) -> String {
    if items.is_empty() {
        return "nothing\n".to_owned();
    }
    let mut rows = vec![columns.iter().map(|it| it.title.to_owned()).collect::<Vec<_>>()];
    for item in items {
        let cell = |column: &Column| {
            let value = item.pointer(column.pointer).unwrap_or(&Value::Null);
            let value =
                if column.both { value.get(language.key()).unwrap_or(value) } else { value };
            cut(&shown(value))
        };
        rows.push(columns.iter().map(cell).collect());
    }
    let widths: Vec<usize> = (0..columns.len())
        .map(|place| rows.iter().filter_map(|it| it.get(place)).map(|it| width(it)).max())
        .map(Option::unwrap_or_default)
        .collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, wide) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', wide.saturating_sub(width(cell)) + 2));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// What an action would do.
pub(super) fn plan(answer: &Value, language: Language) -> String {
    let mut out = format!("{}\n", text(answer.get("summary"), language));
    for it in list(answer, "effects") {
        let _ = writeln!(out, "  - {}", text(Some(it), language));
    }
    for it in list(answer, "warnings") {
        let _ = writeln!(out, "  ! {}", text(Some(it), language));
    }
    out
}

/// What a whitelist entry would have silenced.
pub(super) fn dry_run(answer: &Value, columns: &[Column], language: Language) -> String {
    let number = |name: &str| answer.get(name).map(shown).unwrap_or_default();
    let mut out = format!(
        "would have silenced {} of {} alarms of the last 30 days, on {} servers\n",
        number("silenced"),
        number("looked_at"),
        number("hosts")
    );
    if answer.get("complete") == Some(&Value::Bool(false)) {
        out.push_str("there were more alarms than could be looked at\n");
    }
    for it in list(answer, "warnings") {
        let _ = writeln!(out, "! {}", text(Some(it), language));
    }
    let found = list(answer, "findings");
    if !found.is_empty() {
        out.push_str(&of(found, columns, language));
    }
    out
}

/// One alarm with its proof.
pub(super) fn alarm(answer: &Value, language: Language) -> String {
    let item = answer.get("finding").unwrap_or(&Value::Null);
    let part = |pointer: &str| item.pointer(pointer).map(shown).unwrap_or_default();
    let mut out = format!("{}\n\n", text(item.get("sentence"), language));
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
        let value = part(pointer);
        if !value.is_empty() {
            let _ = writeln!(out, "{name:<10} {value}");
        }
    }
    for name in ["why", "advice"] {
        let value = text(answer.get(name), language);
        if !value.is_empty() {
            let _ = writeln!(out, "\n{value}");
        }
    }
    out.push_str("\nevidence\n");
    for it in list(answer, "evidence") {
        evidence(it, &mut out);
    }
    let responses = list(answer, "responses");
    if !responses.is_empty() {
        out.push_str("\nresponses\n");
        out.push_str(&of(responses, RESPONSES, language));
    }
    let _ = writeln!(out, "\nactions    {}", names(list(answer, "actions")));
    out
}

const RESPONSES: &[Column] = &[
    Column::new("ID", "/id"),
    Column::new("ACTION", "/action"),
    Column::new("STATE", "/state"),
    Column::new("WHAT", "/subject"),
    Column::new("BY", "/by"),
    Column::new("REASON", "/reason"),
];

fn names(items: &[Value]) -> String {
    items.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// One piece of evidence: its values in a line, processes and log lines in a line each.
fn evidence(it: &Value, out: &mut String) {
    let kind = it.get("type").map(shown).unwrap_or_default();
    for process in list(it, "chain") {
        let part = |name: &str| process.get(name).map(shown).unwrap_or_default();
        let _ =
            writeln!(out, "  {:<12} {} {} {}", kind, part("pid"), part("user"), part("command"));
    }
    for line in list(it, "lines") {
        let _ = writeln!(out, "  {:<12} {}", kind, line.get("text").map(shown).unwrap_or_default());
    }
    let plain = it.as_object().into_iter().flatten();
    let plain: Vec<_> = plain
        .filter(|(name, value)| *name != "type" && !value.is_array() && !value.is_null())
        .map(|(name, value)| format!("{name}={}", shown(value)))
        .collect();
    if !plain.is_empty() {
        let _ = writeln!(out, "  {kind:<12} {}", plain.join(" "));
    }
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text(value: Option<&Value>, language: Language) -> String {
    value.and_then(|it| it.get(language.key())).map(shown).unwrap_or_default()
}

/// Nothing is empty, and what a host said moves no cursor.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let harmless = |it: char| if it.is_control() || is_bidi(it) { '\u{fffd}' } else { it };
    text.chars().map(harmless).collect()
}

/// Characters that change the order in which others are shown.
const fn is_bidi(it: char) -> bool {
    matches!(it, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Columns of a terminal that `text` takes: East Asian wide characters take two.
fn width(text: &str) -> usize {
    text.chars().map(|it| if is_wide(it) { 2 } else { 1 }).sum()
}

const fn is_wide(it: char) -> bool {
    matches!(it,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}')
}

fn cut(text: &str) -> String {
    if width(text) <= CELL_WIDTH_MAX {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut wide = 1;
    for it in text.chars() {
        wide += if is_wide(it) { 2 } else { 1 };
        if wide > CELL_WIDTH_MAX {
            break;
        }
        out.push(it);
    }
    out.push('…');
    out
}
