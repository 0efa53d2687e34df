//! The condition of a detection: names of selections joined by and, or, not, `1 of`, `all of`.

use super::expression::Expr;

/// Deepest nesting of brackets and `not`.
const NEST_MAX: usize = 64;
/// Longest condition.
const CONDITION_BYTES_MAX: usize = 16 * 1024;
/// Most tests that a condition comes to, counting one each time it is named.
const TESTS_MAX: usize = 64 * 1024;

/// The expression of `text` over the selections, in the order of the rule.
pub(crate) fn parse(text: &str, selections: &[(String, Expr)]) -> Result<Expr, String> {
    if text.len() > CONDITION_BYTES_MAX {
        return Err(format!("a condition has at most {CONDITION_BYTES_MAX} bytes"));
    }
    let words = words(text)?;
    let mut parser = Parser { words: &words, at: 0, depth: 0, tests: 0, selections };
    let expr = parser.or()?;
    match parser.peek() {
        None => Ok(expr),
        Some(word) => Err(format!("`{word}` cannot stand there in the condition")),
    }
}

fn words(text: &str) -> Result<Vec<&str>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    let in_name = |it: char| it.is_alphanumeric() || matches!(it, '_' | '-' | '.' | '*' | '?');
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' => 1,
            '|' => {
                return Err(
                    "`|` in a condition is the old way to count: use a correlation rule".to_owned()
                );
            }
            _ => rest.find(|it| !in_name(it)).unwrap_or(rest.len()),
        };
        if length == 0 {
            return Err(format!("`{first}` cannot stand in a condition"));
        }
        let (word, after) = rest.split_at(length);
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

struct Parser<'t> {
    words: &'t [&'t str],
    at: usize,
    depth: usize,
    tests: usize,
    selections: &'t [(String, Expr)],
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<&'t str> {
        self.words.get(self.at).copied()
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|it| it.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn or(&mut self) -> Result<Expr, String> {
        self.joined("or", Self::and, Expr::Any)
    }

    fn and(&mut self) -> Result<Expr, String> {
        self.joined("and", Self::not, Expr::All)
    }

    fn joined(
        &mut self,
        word: &str,
        part: fn(&mut Self) -> Result<Expr, String>,
        join: fn(Vec<Expr>) -> Expr,
    ) -> Result<Expr, String> {
        let first = part(self)?;
        if !self.take(word) {
            return Ok(first);
        }
        let mut parts = vec![first, part(self)?];
        while self.take(word) {
            parts.push(part(self)?);
        }
        Ok(join(parts))
    }

    fn not(&mut self) -> Result<Expr, String> {
        if !self.take("not") {
            return self.primary();
        }
        self.deeper(|it| Ok(Expr::Not(Box::new(it.not()?))))
    }

    fn deeper(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<Expr, String>,
    ) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > NEST_MAX {
            return Err(format!("the condition is nested deeper than {NEST_MAX}"));
        }
        let expr = inner(self)?;
        self.depth -= 1;
        Ok(expr)
    }

    fn primary(&mut self) -> Result<Expr, String> {
        let Some(word) = self.peek() else {
            return Err("the condition ends where a selection is expected".to_owned());
        };
        self.at += 1;
        if word == "(" {
            return self.deeper(|it| {
                let expr = it.or()?;
                if it.take(")") { Ok(expr) } else { Err("a bracket is not closed".to_owned()) }
            });
        }
        let counts = self.peek().is_some_and(|it| it.eq_ignore_ascii_case("of"));
        if counts {
            self.at += 1;
            return self.of(word);
        }
        let reserved = ["and", "or", "not", "of", ")"];
        if reserved.iter().any(|it| it.eq_ignore_ascii_case(word)) {
            return Err(format!("`{word}` stands where a selection is expected"));
        }
        let found = self.selections.iter().find(|(name, _)| name == word);
        let found =
            found.ok_or_else(|| format!("the condition names `{word}`, which is no selection"))?;
        self.copy(&found.1)
    }

    /// The selection's expression, while the condition does not come to too much.
    fn copy(&mut self, expr: &Expr) -> Result<Expr, String> {
        self.tests = self.tests.saturating_add(expr.size());
        if self.tests > TESTS_MAX {
            return Err(format!("the condition comes to more than {TESTS_MAX} tests"));
        }
        Ok(expr.clone())
    }

    fn of(&mut self, amount: &str) -> Result<Expr, String> {
        let join = match amount.to_ascii_lowercase().as_str() {
            "1" | "any" => Expr::Any,
            "all" => Expr::All,
            _ => return Err(format!("`{amount} of` is neither `1 of` nor `all of`")),
        };
        let Some(wanted) = self.peek() else {
            return Err(format!("`{amount} of` names nothing"));
        };
        self.at += 1;
        let them = wanted.eq_ignore_ascii_case("them");
        let hidden = |name: &str| name.starts_with('_') && !wanted.starts_with('_');
        let meant = |name: &str| !hidden(name) && (them || like(wanted, name));
        let selections = self.selections;
        let found = selections.iter().filter(|(name, _)| meant(name));
        let found = found.map(|(_, it)| self.copy(it)).collect::<Result<Vec<_>, _>>()?;
        if found.is_empty() {
            return Err(format!("`{amount} of {wanted}` means no selection"));
        }
        Ok(join(found))
    }
}

/// Whether `name` fits a pattern of names with `*`.
fn like(pattern: &str, name: &str) -> bool {
    super::pattern::Pattern::new(&super::pattern::parse(pattern), true).matches(name)
}
