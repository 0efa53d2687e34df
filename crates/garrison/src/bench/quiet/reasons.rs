//! Why a low alarm about ordinary work is right to be there: `rule | piece | subject | reason`, a
//! line each; the spaces belong to the sign that parts them. In piece and subject `*` stands for
//! anything.

use anyhow::Context as _;

pub(super) const COMMITTED: &str = include_str!("reasons.txt");

#[derive(Debug)]
pub(super) struct Reasons(Vec<Reason>);

#[derive(Debug)]
struct Reason {
    rule: &'static str,
    piece: &'static str,
    subject: &'static str,
    text: &'static str,
}

impl Reasons {
    pub(super) fn parse(text: &'static str) -> anyhow::Result<Self> {
        let lines =
            text.lines().enumerate().filter(|(_, it)| !it.is_empty() && !it.starts_with('#'));
        let reason = |(number, line): (usize, &'static str)| {
            let parts: Vec<_> = line.splitn(4, " | ").map(str::trim).collect();
            let [rule, piece, subject, text] = parts.as_slice() else {
                anyhow::bail!("line {} of reasons.txt has not four parts", number + 1);
            };
            anyhow::ensure!(!text.is_empty(), "line {} of reasons.txt gives no reason", number + 1);
            Ok(Reason { rule, piece, subject, text })
        };
        Ok(Self(lines.map(reason).collect::<Result<_, _>>().context("the list of reasons")?))
    }

    pub(super) fn of(&self, rule: &str, piece: &str, subject: &str) -> Option<&'static str> {
        let fits = |it: &&Reason| {
            it.rule == rule && is_like(it.piece, piece) && is_like(it.subject, subject)
        };
        self.0.iter().find(fits).map(|it| it.text)
    }
}

/// `pattern` with `*` for anything.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(head) else { return false };
    rest.is_empty()
        || text.char_indices().any(|(at, _)| text.get(at..).is_some_and(|it| is_like(rest, it)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("/tmp/a", "/tmp/a", true),
            ("/tmp/*", "/tmp/a/b", true),
            ("/tmp/*", "/var/tmp/a", false),
            ("*.sh", "/x/y.sh", true),
            ("*.sh", "/x/y.sh2", false),
            ("/tmp/*/x*", "/tmp/b/x1", true),
            ("*", "", true),
        ] {
            assert_eq!(is_like(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn the_committed_list_reads_and_speaks_of_pieces_and_low_rules() {
        let catalogue = engine::content::Catalogue::embedded().unwrap();
        for it in Reasons::parse(COMMITTED).unwrap().0 {
            let severity = catalogue.get(it.rule).map(|it| it.severity);
            assert_eq!(severity, Some(model::finding::Severity::Low), "{it:?}");
            assert!(
                it.piece == super::super::tally::STATE
                    || super::super::PIECES.iter().any(|piece| is_like(it.piece, piece.name)),
                "{it:?}"
            );
        }
    }
}
