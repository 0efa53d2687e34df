//! Command lines without their secrets.
//!
//! What is masked: values of options and settings named like a secret, passwords in URLs, the
//! options by which well-known programs take a password, and tokens known by their shape.
//! Masking too much costs a word of a command line; too little sends a secret to the server.

mod programs;

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::bytes::{Captures, Regex};

use super::fields::{TEXT_BYTES_MAX, text};
use programs::{PROGRAMS, Take};

/// What stands for a secret.
pub const MASK: &str = "***";
const NO_PASSWORD: &[u8] = b"NOPASSWD";
/// Most words of one argument that are looked at one by one.
const WORDS_MAX: usize = 4096;

/// Names of settings whose value is secret; `-` and `_` may stand inside.
const SECRET_NAMES: &str = r"requirepass|masterauth|storepass|keypass|password|passwd|passphrase|passcode|pwd|secret|token|credentials?|api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key|auth[_-]?key|account[_-]?key|shared[_-]?key|encryption[_-]?key|signing[_-]?key|master[_-]?key|signature|authorization|session[_-]?id|(?:\b|[_-])pass|(?:\b|[_-])sig";

#[expect(clippy::unwrap_used, reason = "the patterns are constants, compiled by each test")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

/// `name=value`, `name: value` and `"name":"value"` inside one argument.
static PAIR: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r#"(?i-u)((?:nopasswd|{SECRET_NAMES})["']?\s*(?:=|:\s?)\s*)((?:bearer|basic|token)\s+)?("[^"]*"?|'[^']*'?|[^\s&;,"'}}]+)"#
    ))
});
/// `--password`, `-token`: the value is the next argument.
static OPTION: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!(r"(?i-u)^--?(?:[a-z0-9_.-]*?[_.-])?(?:{SECRET_NAMES})$")));
/// `scheme://user:password@host`.
static URL: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?-u)([A-Za-z][A-Za-z0-9+.-]*://[^\s:/@?#]*:)[^\s/]*@"));
/// `https://TOKEN@host`: a user name this long is none.
static URL_USER: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?-u)([A-Za-z][A-Za-z0-9+.-]*://)[^\s:/@?#*]{20,}@"));
/// Tokens that start with their maker's mark; `Bearer` and `Basic` of HTTP.
static SHAPE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?-u)\b(?:(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}",
        r"|glpat-[A-Za-z0-9_-]{16,}|xox[a-z]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{30,}",
        r"|[sr]k_(?:live|test)_[0-9A-Za-z]{10,}|sk-[A-Za-z0-9_-]{20,}|npm_[A-Za-z0-9]{30,}",
        r"|pypi-[A-Za-z0-9_-]{16,}|hv[sb]\.[A-Za-z0-9_-]{20,}|dop_v1_[a-f0-9]{32,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
        r"|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?)",
        r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*"
    ))
});
static HTTP_AUTH: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i-u)\b((?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"));

/// The arguments joined by spaces, secrets replaced by [`MASK`], cut at
/// [`super::fields::TEXT_BYTES_MAX`].
pub fn command(arguments: &[Vec<u8>]) -> String {
    let words: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    let mut out = Vec::new();
    for word in words_masked(&words, true) {
        if out.len() > TEXT_BYTES_MAX {
            break;
        }
        if !out.is_empty() {
            out.push(b' ');
        }
        out.extend_from_slice(&word);
    }
    text(&out)
}

/// Each argument with its secrets replaced by [`MASK`].
pub fn arguments(arguments: &[String]) -> Vec<String> {
    let words: Vec<&[u8]> = arguments.iter().map(String::as_bytes).collect();
    words_masked(&words, true).iter().map(|it| text(it)).collect()
}

/// Each word, masked by what it is and by what stands before it.
fn words_masked<'a>(words: &[&'a [u8]], nested: bool) -> Vec<Cow<'a, [u8]>> {
    let mut out: Vec<Cow<'a, [u8]>> = Vec::with_capacity(words.len());
    // The options of the programs named so far: `sudo mysql -pX`, `env A=1 redis-cli -a X`.
    let mut options: Vec<&'static (&'static str, Take)> = Vec::new();
    let mut next_is_secret = None;
    for word in words {
        let word: &'a [u8] = word;
        if let Some(take) = next_is_secret.take()
            && (!word.starts_with(b"-") || matches!(take, Take::Next | Take::NextAfterColon))
        {
            out.push(masked_value(word, take));
            continue;
        }
        let exact = options.iter().find(|(option, _)| option.as_bytes() == word);
        if let Some((_, take)) = exact.filter(|(_, take)| *take != Take::Attached) {
            out.push(Cow::Borrowed(word));
            next_is_secret = Some(*take);
            continue;
        }
        if let Some((option, take)) = options.iter().find(|(option, take)| {
            take.attaches() && word.len() > option.len() && word.starts_with(option.as_bytes())
        }) {
            let (before, value) = word.split_at(option.len());
            let mut masked = before.to_vec();
            masked.extend_from_slice(&masked_value(value, *take));
            out.push(Cow::Owned(masked));
            continue;
        }
        if OPTION.is_match(word) {
            out.push(Cow::Borrowed(word));
            next_is_secret = Some(Take::NextUnlessOption);
            continue;
        }
        let name = program_name(word);
        for (names, found) in PROGRAMS {
            if names.iter().any(|it| it.as_bytes() == name) {
                options.extend(found.iter());
            }
        }
        let has_space = nested && word.iter().any(u8::is_ascii_whitespace);
        out.push(if has_space { sentence(word) } else { word_masked(word) });
    }
    out
}

/// A whole command line in one argument, as after `sh -c`. Its spaces stay as they are.
fn sentence(text: &[u8]) -> Cow<'_, [u8]> {
    let first = word_masked(text);
    let parts: Vec<&[u8]> = first.split(u8::is_ascii_whitespace).take(WORDS_MAX).collect();
    let mut out = Vec::with_capacity(first.len());
    let mut at = 0;
    let words: Vec<&[u8]> = parts.iter().copied().filter(|it| !it.is_empty()).collect();
    let mut masked = words_masked(&words, false).into_iter();
    for part in parts {
        if !part.is_empty() {
            out.extend_from_slice(&masked.next().unwrap_or_default());
        }
        at += part.len();
        out.extend(first.get(at).copied());
        at += 1;
    }
    if at < first.len() {
        out.extend_from_slice("…".as_bytes());
    }
    Cow::Owned(out)
}

/// Name of the program a word may be: `/usr/bin/mysql` is `mysql`.
fn program_name(word: &[u8]) -> &[u8] {
    let word = word.rsplit(|it| *it == b'/').next().unwrap_or(word);
    word.trim_ascii_start().strip_suffix(b":").unwrap_or(word)
}

fn masked_value(value: &[u8], take: Take) -> Cow<'static, [u8]> {
    let keep = match take {
        Take::NextAfterColon => value.iter().position(|it| matches!(it, b':' | b'%' | b',')),
        _ => None,
    };
    match (take, keep) {
        // `user` alone asks for the password.
        (Take::NextAfterColon, None) => Cow::Owned(value.to_vec()),
        (_, Some(at)) => {
            let mut out = value.get(..=at).unwrap_or_default().to_vec();
            out.extend_from_slice(MASK.as_bytes());
            Cow::Owned(out)
        }
        (_, None) => Cow::Borrowed(MASK.as_bytes()),
    }
}

/// What a word tells by itself.
fn word_masked(word: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Cow::Borrowed(word);
    let mut apply = |regex: &Regex, with: &dyn Fn(&Captures) -> Vec<u8>| {
        if let Cow::Owned(it) = regex.replace_all(&out, with) {
            out = Cow::Owned(it);
        }
    };
    let group = |captures: &Captures, number: usize| {
        captures.get(number).map(|it| it.as_bytes().to_vec()).unwrap_or_default()
    };
    let after = |captures: &Captures, end: &str| {
        let mut kept = group(captures, 1);
        kept.extend_from_slice(MASK.as_bytes());
        kept.extend_from_slice(end.as_bytes());
        kept
    };
    if memchr::memchr2(b'=', b':', word).is_some() {
        apply(&PAIR, &|captures| {
            let mut kept = group(captures, 1);
            // A word of sudoers(5), after which come commands.
            if kept.get(..NO_PASSWORD.len()).is_some_and(|it| it == NO_PASSWORD) {
                return group(captures, 0);
            }
            kept.extend_from_slice(&group(captures, 2));
            let value = group(captures, 3);
            let quote = value.first().copied().filter(|it| matches!(it, b'"' | b'\''));
            kept.extend(quote);
            kept.extend_from_slice(MASK.as_bytes());
            kept.extend(quote);
            kept
        });
    }
    if memchr::memchr(b'@', word).is_some() {
        apply(&URL, &|captures| after(captures, "@"));
        apply(&URL_USER, &|captures| after(captures, "@"));
    }
    if word.len() >= 12 {
        apply(&SHAPE, &|_| MASK.as_bytes().to_vec());
        apply(&HTTP_AUTH, &|captures| after(captures, ""));
    }
    out
}

#[cfg(test)]
mod tests;
