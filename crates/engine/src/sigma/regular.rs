//! Regular expressions of rules: bounded, compiled when they are first asked, and searched for
//! only where a text stands that every match contains.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

use super::pattern::fold;

/// Most memory of one compiled expression.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// Most memory in which one expression remembers the states it met.
const REGEX_CACHE_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting of one expression.
const REGEX_NEST_MAX: u32 = 64;
/// Longest expression.
const REGEX_TEXT_BYTES_MAX: usize = 16 << 10;
/// Most texts of which one must stand in a match; beyond, the expression is always searched.
const NEEDS_MAX: usize = 64;
/// Most characters of a class that are told apart.
const CLASS_CHARS_MAX: usize = 8;

/// How an expression is read, beside what it says of that itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub insensitive: bool,
    pub lines: bool,
    pub dot_all: bool,
}

/// A regular expression that is known to work.
#[derive(Clone)]
pub(crate) struct Expression {
    text: Box<str>,
    flags: Flags,
    needs: Vec<Vec<u8>>,
    /// Most expressions of a rule set are never asked on a given host, so that they cost nothing.
    compiled: OnceLock<Option<Regex>>,
}

impl Expression {
    /// Compiles it once to see that it stays within its limits.
    pub(crate) fn new(text: &str, flags: Flags) -> Result<Self, String> {
        if text.len() > REGEX_TEXT_BYTES_MAX {
            return Err(format!("it is longer than {REGEX_TEXT_BYTES_MAX} bytes"));
        }
        compile(text, flags).map_err(|it| reason(&it))?;
        let parsed = ParserBuilder::new()
            .case_insensitive(flags.insensitive)
            .multi_line(flags.lines)
            .dot_matches_new_line(flags.dot_all)
            .nest_limit(REGEX_NEST_MAX)
            .build()
            .parse(text);
        // What compiles parses; without its parts it would only be slower.
        let needs = parsed.ok().and_then(|it| needs(&it, &nothing())).unwrap_or_default();
        let needs = needs.into_iter().collect();
        Ok(Self { text: text.into(), flags, needs, compiled: OnceLock::new() })
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| compile(&self.text, self.flags).ok());
        compiled.as_ref().is_some_and(|it| it.is_match(text))
    }

    /// About how many bytes it takes before it is asked.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len() + self.needs.iter().map(|it| it.capacity() + size_of_val(it)).sum::<usize>()
    }

    /// Texts, folded, of which every match contains one; none: nothing is known.
    pub(crate) fn needs(&self) -> &[Vec<u8>] {
        &self.needs
    }
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Expression({:?} {:?})", self.text, self.flags)
    }
}

fn compile(text: &str, flags: Flags) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text)
        .case_insensitive(flags.insensitive)
        .multi_line(flags.lines)
        .dot_matches_new_line(flags.dot_all)
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(REGEX_CACHE_BYTES_MAX)
        .nest_limit(REGEX_NEST_MAX)
        .build()
}

/// The last line of the message: the ones before draw a picture of the pattern.
fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("it needs more than {limit} bytes when compiled")
        }
        other => {
            let text = other.to_string();
            let last = text.lines().next_back().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        }
    }
}

/// Folded texts.
type Texts = BTreeSet<Vec<u8>>;

fn nothing() -> Texts {
    Texts::from([Vec::new()])
}

/// All texts that the part matches, if they are few.
fn exact(part: &Hir) -> Option<Texts> {
    let found = match part.kind() {
        HirKind::Empty | HirKind::Look(_) => nothing(),
        HirKind::Literal(it) => Texts::from([fold(std::str::from_utf8(&it.0).ok()?).into_owned()]),
        HirKind::Class(it) => class(it)?,
        HirKind::Capture(it) => exact(&it.sub)?,
        HirKind::Repetition(it) => repeated(it)?,
        HirKind::Concat(parts) => {
            parts.iter().try_fold(nothing(), |before, it| joined(&before, &exact(it)?))?
        }
        HirKind::Alternation(parts) => {
            let mut all = Texts::new();
            for it in parts {
                all.extend(exact(it)?);
                if all.len() > NEEDS_MAX {
                    return None;
                }
            }
            all
        }
    };
    Some(found)
}

fn class(class: &Class) -> Option<Texts> {
    let mut all = Texts::new();
    let mut chars = 0;
    let mut add = |it: char| {
        chars += 1;
        all.insert(fold(it.encode_utf8(&mut [0; 4])).into_owned());
        chars <= CLASS_CHARS_MAX
    };
    let few = match class {
        Class::Unicode(it) => it.iter().flat_map(|it| it.start()..=it.end()).all(&mut add),
        Class::Bytes(it) => {
            let bytes = it.iter().flat_map(|it| it.start()..=it.end());
            bytes.into_iter().all(|it| it.is_ascii() && add(char::from(it)))
        }
    };
    (few && !all.is_empty()).then_some(all)
}

fn repeated(it: &Repetition) -> Option<Texts> {
    let most = it.max.filter(|it| *it <= 3)?;
    let sub = exact(&it.sub)?;
    let mut all = Texts::new();
    let mut power = nothing();
    for count in 0..=most {
        if count >= it.min {
            all.extend(power.iter().cloned());
        }
        power = joined(&power, &sub)?;
    }
    (all.len() <= NEEDS_MAX).then_some(all)
}

/// Every text of the one before every text of the other, if they are few.
fn joined(before: &Texts, after: &Texts) -> Option<Texts> {
    if before.len() * after.len() > NEEDS_MAX {
        return None;
    }
    let join = |one: &Vec<u8>| {
        let one = one.clone();
        after.iter().map(move |it| [one.as_slice(), it].concat())
    };
    Some(before.iter().flat_map(join).collect())
}

/// Texts of which one stands in every match of the part, given that one of `before` stands
/// right before it; the rarest such choice.
fn needs(part: &Hir, before: &Texts) -> Option<Texts> {
    let mut choices: Vec<Texts> = Vec::new();
    match part.kind() {
        HirKind::Capture(it) => choices.extend(needs(&it.sub, before)),
        HirKind::Repetition(it) if it.min > 0 => choices.extend(needs(&it.sub, before)),
        HirKind::Alternation(parts) => {
            choices.push(before.clone());
            let all: Option<Vec<_>> = parts.iter().map(|it| needs(it, before)).collect();
            choices.extend(all.map(|it| it.into_iter().flatten().collect()));
        }
        HirKind::Concat(parts) => {
            let mut run = before.clone();
            for it in parts {
                if let Some(longer) = exact(it).and_then(|it| joined(&run, &it)) {
                    run = longer;
                    continue;
                }
                choices.extend(needs(it, &run));
                choices.push(std::mem::replace(&mut run, nothing()));
                // It may begin a run of its own.
                if let Some(alone) = exact(it) {
                    run = alone;
                }
            }
            choices.push(run);
        }
        _ => {
            choices.extend(exact(part).and_then(|it| joined(before, &it)));
            choices.push(before.clone());
        }
    }
    let choices = choices
        .into_iter()
        .map(shortest)
        .filter(|it| !it.is_empty() && it.len() <= NEEDS_MAX && it.iter().all(|it| !it.is_empty()));
    choices.min_by(|one, other| commonness(one).total_cmp(&commonness(other)))
}

/// Without the texts that contain another one: that one is met too.
fn shortest(all: Texts) -> Texts {
    let within =
        |it: &Vec<u8>, other: &Vec<u8>| it != other && memchr::memmem::find(it, other).is_some();
    let needless: Vec<_> =
        all.iter().filter(|it| all.iter().any(|other| within(it, other))).cloned().collect();
    let mut all = all;
    all.retain(|it| !needless.contains(it));
    all
}

fn commonness(texts: &Texts) -> f64 {
    texts.iter().map(|it| super::pattern::commonness(it)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_match_contains() {
        let cases: &[(&str, &str)] = &[
            ("flush\\s+ruleset", "ruleset"),
            ("(^|/)ufw(\\s+--force)?\\s+(disable|reset)\\b", "disable reset"),
            ("^LD_(PRELOAD|AUDIT)=(.*[: ])?/(tmp|var/tmp)/", "ld_audit= ld_preload="),
            ("(?i)Mozilla/\\d", "mozilla/"),
            ("/mail/tmp/[a-z]{3}\\.tar\\.gz", "/mail/tmp/"),
            ("/(crond?|kworker\\S*)$", "/cron /kworker"),
            ("a+", "a"),
            ("\\S+", ""),
            ("(a|\\d)x?", ""),
            ("[^/]{100,}$", ""),
            ("(?m)^\\+root:", "+root:"),
            ("x*yz", "yz"),
            ("(ab|cd)?e[fg]", "ef eg"),
        ];
        for (text, want) in cases {
            let it = Expression::new(text, Flags::default()).unwrap();
            let found: Vec<_> = it.needs().iter().map(|it| String::from_utf8_lossy(it)).collect();
            assert_eq!(found.join(" "), *want, "{text}");
        }
    }

    #[test]
    fn what_could_explode_is_refused() {
        let refused = |text: &str| Expression::new(text, Flags::default()).unwrap_err();
        assert!(
            refused("(a{1000}){1000}").contains("when compiled"),
            "{}",
            refused("(a{1000}){1000}")
        );
        assert!(
            refused(&"(".repeat(100)).contains("nest") || !refused(&"(".repeat(100)).is_empty()
        );
        assert!(refused(&"a".repeat(REGEX_TEXT_BYTES_MAX + 1)).contains("longer"));
        assert!(refused("(?=a)b").contains("look"), "{}", refused("(?=a)b"));
        assert!(!refused("\\1").is_empty());
    }

    #[test]
    fn no_text_makes_an_expression_slow() {
        // A backtracking matcher would need longer than the universe for this one.
        let it = Expression::new("^(a+)+$", Flags::default()).unwrap();
        assert!(!it.is_match(&format!("{}!", "a".repeat(100_000))));
        let it = Expression::new("(x+x+)+y", Flags::default()).unwrap();
        assert!(!it.is_match(&"x".repeat(100_000)));
    }

    proptest::proptest! {
        #[test]
        fn a_match_contains_a_needed_text(
            text in "[abAB/. ]{0,12}",
            expression in "(\\(a\\|b/\\)|a|B|/|\\.|b\\+|a\\?|\\[ab\\]|\\(ab\\|\\.\\)){1,5}",
        ) {
            let Ok(it) = Expression::new(&expression, Flags::default()) else { return Ok(()) };
            if it.is_match(&text) && !it.needs().is_empty() {
                let folded = fold(&text);
                let stands = |it: &Vec<u8>| memchr::memmem::find(&folded, it).is_some();
                proptest::prop_assert!(it.needs().iter().any(stands), "{} in {}", expression, text);
            }
        }
    }
}
