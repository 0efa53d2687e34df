//! Why something is not as it should be: a sentence in English, and the id under which readers
//! find it in their own language. The console's catalogues hold the sentences, and its tests see
//! to it that every id has one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::wire;

/// Parameters of one sentence.
pub const PARAMS_MAX: usize = 8;

/// The parameter that no sentence names: where it holds, which readers put before it.
pub const PLACE: &str = "place";

/// Names a sentence, and fills its holes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Reason {
    /// `vault.changed`; the name never gets another meaning.
    pub id: String,
    pub params: BTreeMap<String, String>,
}

/// A reason with its sentence in English, for logs, terminals and readers that do not know the id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Because {
    pub text: String,
    /// `None`: the sentence is in English only.
    pub reason: Option<Reason>,
}

impl Because {
    pub fn new<P: ToString>(
        id: &str,
        text: impl Into<String>,
        params: impl IntoIterator<Item = (&'static str, P)>,
    ) -> Self {
        let params = params.into_iter().map(|(name, value)| (name.to_owned(), value.to_string()));
        Self {
            text: text.into(),
            reason: Some(Reason { id: id.to_owned(), params: params.collect() }),
        }
    }

    /// The same, said of `place`: `/etc/passwd`, or `/etc/passwd: line 3` of what has a place.
    #[must_use]
    pub fn at(self, place: &str) -> Self {
        let text = format!("{place}: {}", self.text);
        let reason = self.reason.map(|mut it| {
            let within = it.params.remove(PLACE);
            let whole = within.map_or_else(|| place.to_owned(), |it| format!("{place}: {it}"));
            it.params.insert(PLACE.to_owned(), whole);
            it
        });
        Self { text, reason }
    }

    /// `error` with everything that led to it, under an id.
    pub fn of<P: ToString>(
        error: &dyn std::error::Error,
        id: &str,
        params: impl IntoIterator<Item = (&'static str, P)>,
    ) -> Self {
        Self::new(id, whole(error), params)
    }
}

impl std::fmt::Display for Because {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// By its sentence in English.
impl PartialEq<&str> for Because {
    fn eq(&self, other: &&str) -> bool {
        self.text == *other
    }
}

/// In English only.
impl From<&str> for Because {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), reason: None }
    }
}

impl From<String> for Because {
    fn from(text: String) -> Self {
        Self { text, reason: None }
    }
}

impl From<&String> for Because {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<Reason> for wire::Reason {
    fn from(it: Reason) -> Self {
        Self { id: it.id, params: it.params.into_iter().collect() }
    }
}

impl From<wire::Reason> for Reason {
    fn from(it: wire::Reason) -> Self {
        Self { id: it.id, params: it.params.into_iter().collect() }
    }
}

/// A sentence and the values in its holes: `because!("disk.full", "no room on {path}", path = x)`.
#[macro_export]
macro_rules! because {
    ($id:literal, $text:literal $(, $name:ident = $value:expr)* $(,)?) => {{
        $(let $name = $value.to_string();)*
        #[allow(clippy::useless_format, reason = "a sentence may have no holes")]
        let text = format!($text);
        let params: Vec<(&'static str, String)> = vec![$((stringify!($name), $name)),*];
        $crate::because::Because::new($id, text, params)
    }};
}

/// An error and its causes in one line.
pub fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(it) = cause {
        text.push_str(": ");
        text.push_str(&it.to_string());
        cause = it.source();
    }
    text
}

/// What led to `error`, without its own words.
pub fn cause(error: &dyn std::error::Error) -> String {
    error.source().map(whole).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_and_its_parts() {
        let it = because!("disk.full", "no room on {path} for {count}", path = "/a", count = 7);
        assert_eq!(it.text, "no room on /a for 7");
        let reason = it.reason.unwrap();
        assert_eq!(reason.id, "disk.full");
        let params: Vec<_> =
            reason.params.iter().map(|it| (it.0.as_str(), it.1.as_str())).collect();
        assert_eq!(params, [("count", "7"), ("path", "/a")]);
        assert_eq!(Reason::from(wire::Reason::from(reason.clone())), reason);
        assert_eq!(because!("disk.gone", "it is gone").text, "it is gone");
        assert_eq!(Because::from("in English").reason, None);
    }

    #[test]
    fn a_place_goes_before_the_sentence() {
        let line = because!("line.odd", "line {line} is odd", line = 3).at("a.jar").at("/srv");
        assert_eq!(line.to_string(), "/srv: a.jar: line 3 is odd");
        let params = line.reason.unwrap().params;
        assert_eq!((params[PLACE].as_str(), params["line"].as_str()), ("/srv: a.jar", "3"));
    }

    #[test]
    fn an_error_is_told_with_what_led_to_it() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read {0}")]
        struct Outer(&'static str, #[source] std::io::Error);
        let error = Outer("/a", std::io::Error::from_raw_os_error(13));
        let it = Because::of(&error, "file.read", [("path", "/a"), ("cause", &cause(&error))]);
        assert_eq!(it.text, "cannot read /a: Permission denied (os error 13)");
        assert_eq!(it.reason.unwrap().params["cause"], "Permission denied (os error 13)");
    }
}
