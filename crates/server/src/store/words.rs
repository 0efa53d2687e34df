//! The words findings are found by.
//!
//! Addresses, paths and names stay whole so that one look-up finds them; paths and joined
//! names are also cut into their parts. Text written without spaces (Chinese) is cut into
//! overlapping pairs.

use model::finding::Finding;
use serde_json::Value;

/// Most bytes of words kept of one finding.
const WORDS_BYTES_MAX: usize = 1024;
/// Longest word; longer ones are cut.
const WORD_CHARS_MAX: usize = 64;
/// Most words of a question.
const QUESTION_WORDS_MAX: usize = 8;

/// The words of `finding`, separated by spaces.
pub(crate) fn of_finding(finding: &Finding) -> String {
    let mut words = Vec::new();
    cut(&finding.subject, &mut words);
    for value in finding.params.values() {
        match value {
            Value::String(text) => cut(text, &mut words),
            Value::Array(items) => {
                for text in items.iter().filter_map(Value::as_str) {
                    cut(text, &mut words);
                }
            }
            _ => {}
        }
    }
    let mut out = String::new();
    let mut seen = std::collections::HashSet::new();
    for word in words {
        if out.len() + word.len() > WORDS_BYTES_MAX {
            break;
        }
        if !seen.contains(&word) {
            out.push_str(&word);
            out.push(' ');
            seen.insert(word);
        }
    }
    out
}

/// The words a question asks for; all must occur.
pub(crate) fn of_question(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for run in runs(text) {
        match pairs(&run) {
            Some(pairs) => words.extend(pairs),
            None => words.push(short(&run)),
        }
    }
    words.truncate(QUESTION_WORDS_MAX);
    words
}

/// True for letters of scripts that are written without spaces.
pub(crate) fn is_dense(letter: char) -> bool {
    matches!(letter, '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

fn is_joint(letter: char) -> bool {
    matches!(letter, '.' | '_' | '-' | ':' | '/')
}

/// Lower-case runs of letters, digits and joints, cut where the script changes.
fn runs(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut dense_before = None;
    for letter in text.chars().flat_map(char::to_lowercase) {
        if !(letter.is_alphanumeric() || is_joint(letter)) {
            dense_before = None;
            continue;
        }
        let dense = is_dense(letter);
        match out.last_mut() {
            Some(last) if dense_before == Some(dense) => last.push(letter),
            _ => out.push(letter.to_string()),
        }
        dense_before = Some(dense);
    }
    out.iter()
        .map(|it| it.trim_end_matches(is_joint).trim_start_matches([':', '.', '-']).to_owned())
        .filter(|it| it.chars().any(char::is_alphanumeric))
        .collect()
}

fn short(word: &str) -> String {
    word.chars().take(WORD_CHARS_MAX).collect()
}

/// Overlapping pairs of a dense run, or the one letter it is.
fn pairs(run: &str) -> Option<Vec<String>> {
    let letters: Vec<char> = run.chars().collect();
    if !letters.first().copied().is_some_and(is_dense) {
        return None;
    }
    if letters.len() == 1 {
        return Some(vec![run.to_owned()]);
    }
    Some(letters.windows(2).map(|it| it.iter().collect()).collect())
}

fn cut(text: &str, words: &mut Vec<String>) {
    for run in runs(text) {
        if let Some(pairs) = pairs(&run) {
            words.extend(pairs);
            continue;
        }
        words.push(short(&run));
        // The parts of an address mean nothing by themselves.
        let is_number = |it: &str| it.chars().all(|it| it.is_ascii_digit() || it == '.');
        if run.contains(['/', '-', '_', ':']) && !is_number(&run) {
            let parts = run.split(['/', '-', '_', ':']);
            words.extend(parts.filter(|it| it.len() > 1 && *it != run).map(short));
        }
    }
}

#[cfg(test)]
mod tests;
