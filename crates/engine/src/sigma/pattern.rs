//! Texts with wildcards: how Sigma writes them, and how they are compared.
//!
//! Comparison is over bytes. Without `cased` both sides are folded first, character by
//! character, by [`fold`]; so every other form of comparison is exact.

use std::borrow::Cow;

/// What `windash` takes for one another.
pub(super) const DASHES: [char; 5] = ['-', '/', '–', '—', '―'];

/// A piece of a text with wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Literal(Vec<u8>),
    /// `?`: exactly one character.
    One,
    /// `*`: any characters, or none.
    Any,
}

/// Reads wildcards and escapes. A backslash takes the meaning of a following `*`, `?` or
/// backslash away; before anything else it stands for itself.
pub fn parse(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut literal = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(it) = rest.next() {
        let wild = match it {
            '\\' => {
                let next = rest.next_if(|it| matches!(it, '*' | '?' | '\\'));
                push_char(&mut literal, next.unwrap_or('\\'));
                continue;
            }
            '*' => Part::Any,
            '?' => Part::One,
            _ => {
                push_char(&mut literal, it);
                continue;
            }
        };
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal)));
        }
        if wild != Part::Any || parts.last() != Some(&Part::Any) {
            parts.push(wild);
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    parts
}

fn push_char(out: &mut Vec<u8>, it: char) {
    out.extend_from_slice(it.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Lower case, character by character, so that no character's form depends on its neighbours.
pub fn fold(text: &str) -> Cow<'_, [u8]> {
    if text.bytes().all(|it| it.is_ascii() && !it.is_ascii_uppercase()) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    fold_into(text, &mut out);
    Cow::Owned(out)
}

/// [`fold`] at the end of `out`.
pub(crate) fn fold_into(text: &str, out: &mut Vec<u8>) {
    if text.is_ascii() {
        let start = out.len();
        out.extend_from_slice(text.as_bytes());
        out.get_mut(start..).unwrap_or_default().make_ascii_lowercase();
    } else {
        text.chars().flat_map(char::to_lowercase).for_each(|it| push_char(out, it));
    }
}

fn fold_bytes(bytes: &[u8]) -> Vec<u8> {
    // What is no text (a value in UTF-16) has no other case than that of its ASCII bytes.
    std::str::from_utf8(bytes)
        .map_or_else(|_| bytes.to_ascii_lowercase(), |text| fold(text).into_owned())
}

/// A text with wildcards, ready to compare.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    pub cased: bool,
    pub shape: Shape,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    Exact(Vec<u8>),
    Prefix(Vec<u8>),
    Suffix(Vec<u8>),
    Contains(Vec<u8>),
    /// `*`: any text, also the empty one.
    Everything,
    /// Anything else: what stands between the `*`. The first segment is where the text begins
    /// and the last where it ends; they are empty where a `*` stands there.
    Segments(Vec<Segment>),
}

/// Literals and single wildcards in a row: `None` is one character.
pub type Segment = Vec<Option<Vec<u8>>>;

impl Pattern {
    pub fn new(parts: &[Part], cased: bool) -> Self {
        let shape = match parts {
            [] => Shape::Exact(Vec::new()),
            [Part::Any] => Shape::Everything,
            [Part::Literal(it)] => Shape::Exact(it.clone()),
            [Part::Literal(it), Part::Any] => Shape::Prefix(it.clone()),
            [Part::Any, Part::Literal(it)] => Shape::Suffix(it.clone()),
            [Part::Any, Part::Literal(it), Part::Any] => Shape::Contains(it.clone()),
            _ => Shape::Segments(segments(parts)),
        };
        let mut pattern = Self { cased, shape };
        if !cased {
            pattern.fold();
        }
        pattern
    }

    fn fold(&mut self) {
        match &mut self.shape {
            Shape::Exact(it) | Shape::Prefix(it) | Shape::Suffix(it) | Shape::Contains(it) => {
                *it = fold_bytes(it);
            }
            Shape::Everything => {}
            Shape::Segments(segments) => {
                segments.iter_mut().flatten().flatten().for_each(|it| *it = fold_bytes(it));
            }
        }
    }

    pub fn matches(&self, text: &str) -> bool {
        if self.cased {
            self.shape.matches(text.as_bytes())
        } else {
            self.shape.matches(&fold(text))
        }
    }

    /// The longest text that every match contains, folded; `None`: there is none.
    pub(crate) fn literal(&self) -> Option<Vec<u8>> {
        let longest = match &self.shape {
            Shape::Exact(it) | Shape::Prefix(it) | Shape::Suffix(it) | Shape::Contains(it) => it,
            Shape::Everything => return None,
            Shape::Segments(segments) => {
                segments.iter().flatten().flatten().max_by_key(|it| it.len())?
            }
        };
        (!longest.is_empty()).then(|| fold_bytes(longest))
    }
}

impl Shape {
    /// Whether the whole of `text`, folded where the pattern is, has this shape.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Exact(it) => text == it,
            Self::Prefix(it) => text.starts_with(it),
            Self::Suffix(it) => text.ends_with(it),
            Self::Contains(it) => contains(text, it),
            Self::Everything => true,
            Self::Segments(segments) => match_segments(segments, text),
        }
    }
}

/// Pieces of texts that are everywhere, so that they make no text rare.
const COMMON: &[&[u8]] = &[
    b"/usr/local/",
    b"/usr/bin/",
    b"/usr/",
    b"/bin/",
    b"/etc/",
    b"/var/",
    b"/tmp/",
    b"/lib/",
    b"/dev/",
    b"/proc/",
    b"http",
    b".sh",
    b" --",
    b" -",
    b"root",
];

/// About how often a folded text stands in one of an ordinary host; only compared.
pub(crate) fn commonness(text: &[u8]) -> f64 {
    let common = COMMON.iter().find(|it| contains(text, it)).map_or(0, |it| it.len() - 1);
    match text.len() - common {
        0..=1 => 1.0,
        2 => 0.6,
        3 => 0.3,
        4..=5 => 0.1,
        6..=8 => 0.03,
        _ => 0.01,
    }
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(text, needle).is_some()
}

fn segments(parts: &[Part]) -> Vec<Segment> {
    let mut segments = vec![Segment::new()];
    for part in parts {
        match part {
            Part::Any => segments.push(Segment::new()),
            Part::One => segments.last_mut().into_iter().for_each(|it| it.push(None)),
            Part::Literal(text) => {
                segments.last_mut().into_iter().for_each(|it| it.push(Some(text.clone())));
            }
        }
    }
    segments
}

/// Every segment at its leftmost place after the one before: no other choice can succeed where
/// this one fails, because a later place leaves less of the text.
fn match_segments(segments: &[Segment], text: &[u8]) -> bool {
    let Some((first, rest)) = segments.split_first() else { return text.is_empty() };
    let Some(mut text) = strip(first, text) else { return false };
    let Some((last, middle)) = rest.split_last() else { return text.is_empty() };
    for segment in middle {
        let Some(after) = find(segment, text) else { return false };
        text = after;
    }
    ends_with(last, text)
}

/// What follows the segment at the beginning of `text`.
fn strip<'t>(segment: &Segment, mut text: &'t [u8]) -> Option<&'t [u8]> {
    for piece in segment {
        text = match piece {
            Some(literal) => text.strip_prefix(literal.as_slice())?,
            None => text.get(char_len(text)?..)?,
        };
    }
    Some(text)
}

/// What follows the leftmost place of the segment in `text`.
fn find<'t>(segment: &Segment, mut text: &'t [u8]) -> Option<&'t [u8]> {
    loop {
        if let Some(Some(literal)) = segment.first() {
            text = text.get(memchr::memmem::find(text, literal)?..)?;
        }
        if let Some(after) = strip(segment, text) {
            return Some(after);
        }
        text = text.get(char_len(text)?..)?;
    }
}

fn ends_with(segment: &Segment, mut text: &[u8]) -> bool {
    for piece in segment.iter().rev() {
        let rest = match piece {
            Some(literal) => text.strip_suffix(literal.as_slice()),
            None => last_char_len(text).and_then(|it| text.get(..text.len() - it)),
        };
        let Some(rest) = rest else { return false };
        text = rest;
    }
    true
}

/// Bytes of the first character; texts are UTF-8.
fn char_len(text: &[u8]) -> Option<usize> {
    let more = text.get(1..)?.iter().take(3).take_while(|it| **it & 0xc0 == 0x80).count();
    Some(1 + more)
}

fn last_char_len(text: &[u8]) -> Option<usize> {
    let more = text.iter().rev().take(3).take_while(|it| **it & 0xc0 == 0x80).count();
    (more < text.len()).then_some(more + 1)
}
