//! Sentences with named places: `{source} failed {failures} times`.

use std::fmt::Write as _;

use model::asset::Row;
use model::finding::Text;
use serde_json::Value;

/// Longest value put into a sentence; the whole value stays in the parameters.
const VALUE_CHARS_MAX: usize = 200;

/// A piece of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'t> {
    Plain(&'t str),
    /// Between braces; the braces are not part of it.
    Named(&'t str),
}

/// `template` with every `{name}` replaced by the value of that name. A name without a value
/// stays as it is, braces and all: the loader and the cases of a rule see to it that a
/// shipped rule never gets there.
///
/// Values come from attackers (user names, file names): control characters are replaced and
/// long values cut, so that a sentence stays one line on any terminal and page.
pub fn render(template: &str, params: &Row) -> String {
    let mut out = String::with_capacity(template.len() + 64);
    for piece in pieces(template) {
        match piece {
            Piece::Plain(text) => out.push_str(text),
            Piece::Named(name) => {
                if let Some(value) = params.get(name) {
                    push_value(&mut out, value);
                } else {
                    out.push('{');
                    out.push_str(name);
                    out.push('}');
                }
            }
        }
    }
    out
}

/// [`render`] in both languages.
pub fn render_both(template: &Text, params: &Row) -> Text {
    Text { en: render(&template.en, params), zh: render(&template.zh, params) }
}

/// The names `template` asks for, in order, repeated as they repeat.
pub fn names(template: &str) -> impl Iterator<Item = &str> {
    pieces(template).filter_map(|piece| match piece {
        Piece::Named(name) => Some(name),
        Piece::Plain(_) => None,
    })
}

/// The names `template` asks for that `params` does not have.
pub fn missing<'t>(template: &'t str, params: &Row) -> Vec<&'t str> {
    names(template).filter(|name| !params.contains_key(*name)).collect()
}

/// Cuts a text that is longer than `bytes_max`; a digest of the whole keeps it unique.
pub fn bounded(text: &str, bytes_max: usize) -> String {
    const MARK_BYTES: usize = 20;
    let mut text = text.to_owned();
    if text.len() > bytes_max {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in text.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let mut end = bytes_max.saturating_sub(MARK_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        let _ = write!(text, "…{hash:016x}");
    }
    text
}

fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(inner) = rest.strip_prefix('{')
            && let Some((name, after)) = inner.split_once('}')
            && is_name(name)
        {
            rest = after;
            return Some(Piece::Named(name));
        }
        let skip = rest.chars().next().map_or(0, char::len_utf8);
        let end = rest.get(skip..).and_then(|it| it.find('{')).map_or(rest.len(), |at| at + skip);
        let (plain, after) = rest.split_at(end);
        rest = after;
        Some(Piece::Plain(plain))
    })
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_')
}

fn push_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push('-'),
        Value::String(text) => push_clean(out, text),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                push_value(out, item);
            }
        }
        other => push_clean(out, &other.to_string()),
    }
}

fn push_clean(out: &mut String, text: &str) {
    let mut letters = text.chars();
    out.extend(
        letters
            .by_ref()
            .take(VALUE_CHARS_MAX)
            .map(|it| if it.is_control() || is_direction(it) { '\u{fffd}' } else { it }),
    );
    if letters.next().is_some() {
        out.push('…');
    }
}

/// Letters that reorder what follows them on a page.
fn is_direction(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(value: Value) -> Row {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn places_are_filled_in() {
        let params = row(json!({"user": "root", "count": 5, "list": ["a", "b"], "none": null}));
        for (template, want) in [
            ("", ""),
            ("plain", "plain"),
            ("{user} failed {count} times", "root failed 5 times"),
            ("{list}|{none}", "a, b|-"),
            ("{missing} stays", "{missing} stays"),
            ("{ not a name } {", "{ not a name } {"),
            ("{{user}}", "{root}"),
            ("账户 {user}。", "账户 root。"),
        ] {
            assert_eq!(render(template, &params), want, "{template}");
        }
        assert_eq!(missing("{user} {what}", &params), ["what"]);
    }

    #[test]
    fn hostile_values_stay_on_one_line() {
        let long = "x".repeat(1000);
        let params = row(json!({"a": "x\n\u{1b}[31m\u{202e}y", "b": long, "c": "{a}"}));
        assert_eq!(render("{a}", &params), "x\u{fffd}\u{fffd}[31m\u{fffd}y");
        assert_eq!(render("{b}", &params).chars().count(), VALUE_CHARS_MAX + 1);
        assert_eq!(render("{c}", &params), "{a}", "a value is never a template");
    }
}
