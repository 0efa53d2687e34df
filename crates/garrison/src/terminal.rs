//! What commands share that write for a person: how wide the terminal is, and text that fits it.

use std::io::IsTerminal as _;

/// Columns of a terminal that `text` takes: East Asian wide letters take two.
pub(crate) fn width_of(text: &str) -> usize {
    text.chars().map(letter_width).sum()
}

fn letter_width(letter: char) -> usize {
    match u32::from(letter) {
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        // Marks that stand on the letter before them.
        0x0300..=0x036f | 0x200b..=0x200d | 0xfe00..=0xfe0f => 0,
        _ => 1,
    }
}

/// Columns of the terminal behind standard output; `None` where it is a file or a pipe.
pub(crate) fn columns() -> Option<usize> {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&out).ok()?;
    Some(usize::from(size.ws_col)).filter(|it| *it > 0)
}

/// Whether standard output shows colours, and nobody asked for none.
pub(crate) fn has_colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// `text` in at most `max` columns, cut at its end.
pub(crate) fn cut(text: &str, max: usize) -> String {
    if width_of(text) <= max {
        return text.to_owned();
    }
    let mut out = String::new();
    // One for the sign that it goes on.
    let mut used = 1;
    for letter in text.chars() {
        used += letter_width(letter);
        if used > max {
            break;
        }
        out.push(letter);
    }
    out.push('…');
    out
}

/// Least room for text beside its indentation.
const ROOM_MIN: usize = 24;

/// Folds `text` to `width` columns with every line after the first indented; control
/// characters are shown, never sent to the terminal.
pub(crate) fn fold(text: &str, width: usize, indent: usize) -> String {
    let room = width.saturating_sub(indent).max(ROOM_MIN);
    let mut out = String::new();
    let mut used = 0;
    let new_line = |out: &mut String, used: &mut usize| {
        out.truncate(out.trim_end_matches(' ').len());
        out.push('\n');
        out.push_str(&" ".repeat(indent));
        *used = 0;
    };
    for word in text.split_inclusive(' ') {
        let word: String =
            word.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect();
        if used > 0 && used + width_of(word.trim_end()) > room {
            new_line(&mut out, &mut used);
        }
        for letter in word.chars() {
            if used + letter_width(letter) > room {
                if letter == ' ' {
                    continue;
                }
                new_line(&mut out, &mut used);
            }
            used += letter_width(letter);
            out.push(letter);
        }
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_fits_and_wide_letters_count_twice() {
        for (text, max, want) in [
            ("short", 5, "short"),
            ("longer", 5, "long…"),
            ("订单数据库", 10, "订单数据库"),
            ("订单数据库", 9, "订单数据…"),
            ("订单数据库", 8, "订单数…"),
            ("", 0, ""),
        ] {
            assert_eq!(cut(text, max), want, "{text} {max}");
            assert!(width_of(&cut(text, max)) <= max);
        }
    }
}
