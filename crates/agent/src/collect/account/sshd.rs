//! Where sshd looks for the keys of an account (sshd_config(5)), and the keys (sshd(8),
//! AUTHORIZED_KEYS FILE FORMAT).

use data_encoding::{BASE64, BASE64_NOPAD};
use sha2::{Digest as _, Sha256};

use crate::collect::fields::text;
use crate::collect::{glob, mask};

/// Where keys are looked for if nothing else is said.
pub const DEFAULT_FILES: [&str; 2] = [".ssh/authorized_keys", ".ssh/authorized_keys2"];

/// A line of sshd_config: keyword in lower case, and its arguments without quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    pub line: usize,
    pub keyword: String,
    pub arguments: Vec<String>,
}

/// The directives of one file. Lines that hold none are blank or comments.
pub fn parse_config(bytes: &[u8]) -> Vec<Directive> {
    let text = String::from_utf8_lossy(bytes);
    let mut out = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let end = line.find(|it: char| it.is_whitespace() || it == '=').unwrap_or(line.len());
        let (keyword, rest) = line.split_at(end);
        if keyword.is_empty() || keyword.starts_with('#') {
            continue;
        }
        let rest = rest.trim_start();
        let rest = rest.strip_prefix('=').unwrap_or(rest);
        let keyword = keyword.to_ascii_lowercase();
        out.push(Directive { line: index + 1, keyword, arguments: arguments(rest) });
    }
    out
}

/// Words, of which some are in double quotes; a `#` that begins a word ends the line.
fn arguments(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, after) = match rest.strip_prefix('"') {
            Some(inside) => inside.split_once('"').unwrap_or((inside, "")),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        out.push(word.to_owned());
        rest = after.trim_start();
    }
    out
}

/// The part of a `Match` line that says which accounts it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    users: Vec<String>,
    groups: Vec<String>,
    /// It also asks for what only a connection tells (an address, a port).
    pub of_connection: bool,
}

impl Condition {
    /// `User a,b Group c Address ...`, `all`, or `keyword=value`.
    pub fn parse(arguments: &[String]) -> Self {
        let mut out = Self::default();
        let words: Vec<&str> = arguments.iter().flat_map(|it| it.splitn(2, '=')).collect();
        let mut words = words.into_iter().filter(|it| !it.is_empty());
        while let Some(word) = words.next() {
            let list = |it: Option<&str>| {
                it.unwrap_or_default().split(',').map(ToOwned::to_owned).collect::<Vec<_>>()
            };
            match word.to_ascii_lowercase().as_str() {
                "all" => {}
                "user" => out.users.extend(list(words.next())),
                "group" => out.groups.extend(list(words.next())),
                _ => {
                    out.of_connection = true;
                    words.next();
                }
            }
        }
        out
    }

    /// It applies to this account, as far as that can be told without a connection.
    pub fn holds(&self, user: &str, groups: &[&str]) -> bool {
        let of = |patterns: &[String], names: &[&str]| {
            let hit = |pattern: &str| {
                names.iter().any(|it| glob::matches(pattern.as_bytes(), it.as_bytes()))
            };
            let refused = patterns.iter().any(|it| it.strip_prefix('!').is_some_and(hit));
            !refused && patterns.iter().any(|it| !it.starts_with('!') && hit(it))
        };
        (self.users.is_empty() || of(&self.users, &[user]))
            && (self.groups.is_empty() || of(&self.groups, groups))
    }
}

/// Every `AuthorizedKeysFile` of the configuration, in order, with the `Match` lines around it.
#[derive(Clone, Debug, Default)]
pub struct KeyFiles {
    pub settings: Vec<(Vec<Condition>, Vec<String>)>,
}

impl KeyFiles {
    /// The files of one account, tokens replaced. sshd takes the first value whose `Match`
    /// holds, else the first outside of any; where that hangs on the connection, every file
    /// that may come into play is told.
    pub fn of(&self, user: &str, uid: u32, home: &str, groups: &[&str]) -> Vec<String> {
        let mut patterns: Vec<&str> = Vec::new();
        let mut decided = false;
        let (matched, global): (Vec<_>, Vec<_>) =
            self.settings.iter().partition(|(conditions, _)| !conditions.is_empty());
        for (conditions, files) in matched {
            if !decided && conditions.iter().all(|it| it.holds(user, groups)) {
                patterns.extend(files.iter().map(String::as_str));
                decided = conditions.iter().all(|it| !it.of_connection);
            }
        }
        match global.first() {
            _ if decided => {}
            Some((_, files)) => patterns.extend(files.iter().map(String::as_str)),
            None => patterns.extend(DEFAULT_FILES),
        }
        let mut files: Vec<String> = patterns
            .into_iter()
            .filter(|it| !it.eq_ignore_ascii_case("none"))
            .map(|it| with_tokens(it, user, uid, home))
            .collect();
        files.sort_unstable();
        files.dedup();
        files
    }
}

/// `%h` home, `%u` name, `%U` uid, `%%`; relative to the home folder.
fn with_tokens(pattern: &str, user: &str, uid: u32, home: &str) -> String {
    let mut out = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match (letter, if letter == '%' { letters.next() } else { None }) {
            ('%', Some('h')) => out.push_str(home),
            ('%', Some('u')) => out.push_str(user),
            ('%', Some('U')) => out.push_str(&uid.to_string()),
            ('%', Some('%') | None) => out.push('%'),
            ('%', Some(other)) => out.extend(['%', other]),
            (letter, _) => out.push(letter),
        }
    }
    if out.starts_with('/') { out } else { format!("{}/{out}", home.trim_end_matches('/')) }
}

/// A key that opens an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub kind: String,
    /// Size of the modulus for RSA.
    pub bits: Option<usize>,
    /// As `ssh-keygen -l` prints it: `SHA256:` and base 64.
    pub fingerprint: String,
    pub comment: String,
    pub options: Vec<String>,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some(bits) = self.bits {
            write!(f, " {bits}")?;
        }
        write!(f, " {}", self.fingerprint)?;
        if !self.comment.is_empty() {
            write!(f, " {}", self.comment)?;
        }
        if !self.options.is_empty() {
            write!(f, " [{}]", self.options.join(","))?;
        }
        Ok(())
    }
}

/// The keys of a file, and the number of lines that hold none though they should.
pub fn parse_keys(bytes: &[u8]) -> (Vec<Key>, usize) {
    let mut keys = Vec::new();
    let mut broken = 0;
    for line in bytes.split(|it| *it == b'\n').map(<[u8]>::trim_ascii) {
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        match key(line) {
            Some(key) => keys.push(key),
            None => broken += 1,
        }
    }
    (keys, broken)
}

/// `[OPTIONS] TYPE BASE64 [COMMENT]`.
fn key(line: &[u8]) -> Option<Key> {
    bare_key(line, &[]).or_else(|| {
        let (options, rest) = options(line);
        bare_key(rest.trim_ascii_start(), &options)
    })
}

fn bare_key(line: &[u8], options: &[&[u8]]) -> Option<Key> {
    let mut words = line.splitn(2, u8::is_ascii_whitespace);
    let kind = std::str::from_utf8(words.next()?).ok()?;
    let rest = words.next()?.trim_ascii_start();
    let mut words = rest.splitn(2, u8::is_ascii_whitespace);
    let blob = words.next()?;
    let blob = BASE64.decode(blob).or_else(|_| BASE64_NOPAD.decode(blob)).ok()?;
    let (named, body) = length_prefixed(&blob)?;
    if named != kind.as_bytes() {
        return None;
    }
    let bits = if kind == "ssh-rsa" { modulus_bits(body) } else { None };
    let comment = text(words.next().unwrap_or_default().trim_ascii());
    let fingerprint = format!("SHA256:{}", BASE64_NOPAD.encode(&Sha256::digest(&blob)));
    let options = options.iter().map(|it| option(it)).collect();
    Some(Key { kind: kind.to_owned(), bits, fingerprint, comment, options })
}

/// A four-byte length and as many bytes (RFC 4251, section 5), and what follows.
fn length_prefixed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

/// RSA keys are exponent and modulus, both big-endian (RFC 4253, section 6.6).
fn modulus_bits(body: &[u8]) -> Option<usize> {
    let (_, rest) = length_prefixed(body)?;
    let (modulus, _) = length_prefixed(rest)?;
    let start = modulus.iter().position(|it| *it != 0)?;
    let digits = modulus.get(start..)?;
    Some(digits.len() * 8 - digits.first()?.leading_zeros() as usize)
}

/// Comma-separated options up to white space outside of quotes.
fn options(line: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let mut out = Vec::new();
    let (mut quoted, mut escaped, mut start) = (false, false, 0);
    for (at, byte) in line.iter().enumerate() {
        let end = byte.is_ascii_whitespace() && !quoted;
        if end || (*byte == b',' && !quoted) {
            out.push(line.get(start..at).unwrap_or_default());
            start = at + 1;
        }
        if end {
            return (out, line.get(at..).unwrap_or_default());
        }
        quoted ^= *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
    }
    (out, &[])
}

/// An option as it is shown: the value of `environment` stays on the host.
fn option(bytes: &[u8]) -> String {
    if bytes.get(..12).is_some_and(|it| it.eq_ignore_ascii_case(b"environment=")) {
        return "environment".to_owned();
    }
    mask::command(&[bytes.to_vec()])
}
