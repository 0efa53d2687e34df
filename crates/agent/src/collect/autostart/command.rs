//! Which programs a command line starts, as far as its words tell.

/// Something a command starts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Program {
    /// A path, or a name to be looked for in the usual folders.
    File(String),
    /// Code on the command line itself: `sh -c '…'`.
    Inline,
}

/// Folders a bare name is looked for in.
pub(super) const SEARCHED: &[&str] =
    &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Programs that run the program after them: how many words of their own that are no options
/// come first, and their options whose value is the next word.
const WRAPPERS: &[(&str, usize, &[&str])] = &[
    ("exec", 0, &["-a"]),
    ("nice", 0, &["-n"]),
    ("ionice", 0, &["-c", "-n", "-p"]),
    ("chrt", 1, &[]),
    ("env", 0, &["-u", "-C", "-S"]),
    ("sudo", 0, &["-u", "-g", "-h", "-p", "-C", "-r", "-t"]),
    ("nohup", 0, &[]),
    ("setsid", 0, &[]),
    ("time", 0, &["-o", "-f"]),
    ("timeout", 1, &["-s", "-k"]),
    ("flock", 1, &["-w", "-E"]),
    ("chronic", 0, &[]),
    ("systemd-cat", 0, &["-t", "-p"]),
    ("unbuffer", 0, &[]),
    ("stdbuf", 0, &["-i", "-o", "-e"]),
];
const INTERPRETERS: &[&str] = &[
    "sh", "bash", "dash", "ash", "zsh", "ksh", "busybox", "python", "perl", "ruby", "node", "php",
    "lua", "tclsh",
];
/// Words of the shell, and programs that only look.
const NO_PROGRAMS: &[&str] = &[
    "if", "then", "else", "elif", "fi", "do", "done", "while", "until", "!", "{", "}", "(", ")",
    "test", "[", "[[", "cd", "true", "false", ":", "echo", "printf", "command", "which", "type",
    "export", "umask", "ulimit", "set", "unset", "exit", "return", "read", "sleep", "wait", "trap",
    "for", "case", "esac", "in",
];

/// The programs of a shell command: the first word of each part, past wrappers.
pub(super) fn of_shell(text: &str) -> Vec<Program> {
    let mut found = Vec::new();
    for part in parts(text) {
        found.extend(of_words(&part));
    }
    found.sort();
    found.dedup();
    found
}

/// The program of one simple command, if its words tell.
pub(super) fn of_words(words: &[String]) -> Option<Program> {
    let mut words = words.iter().map(String::as_str).peekable();
    loop {
        let word = words.next()?;
        let name = word.rsplit('/').next().unwrap_or(word);
        let assignment = word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_')
        });
        if assignment
            || matches!(
                word,
                "if" | "then" | "else" | "elif" | "do" | "while" | "until" | "!" | "{" | "("
            )
        {
            continue;
        }
        if let Some((_, own, valued)) = WRAPPERS.iter().find(|(it, ..)| *it == name) {
            skip_options(&mut words, valued);
            for _ in 0..*own {
                words.next();
            }
            continue;
        }
        if matches!(word, "." | "source") {
            return words.next().and_then(file);
        }
        if NO_PROGRAMS.contains(&word) {
            return None;
        }
        let plain = name.trim_end_matches(|it: char| it.is_ascii_digit() || it == '.');
        if INTERPRETERS.contains(&plain) {
            return interpreted(word, &mut words);
        }
        return file(word);
    }
}

/// What an interpreter runs: its first word that is no option.
fn interpreted<'a>(word: &str, words: &mut impl Iterator<Item = &'a str>) -> Option<Program> {
    for next in words {
        match next {
            "-c" | "-e" | "-lc" | "-ec" | "-xc" | "-r" | "-S" | "-m" | "-s" => {
                return Some(Program::Inline);
            }
            _ if next.starts_with('-') => {}
            _ => return file(next),
        }
    }
    file(word)
}

fn skip_options<'a>(
    words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    valued: &[&str],
) {
    while let Some(option) = words.next_if(|it| it.starts_with('-')) {
        if valued.contains(&option) {
            words.next();
        }
    }
}

/// A word that is a path or a name, not a pattern or a variable.
fn file(word: &str) -> Option<Program> {
    let odd = |it: char| matches!(it, '$' | '*' | '`' | '?' | '~' | '<' | '>' | '{' | '}');
    (!word.is_empty() && !word.contains(odd)).then(|| Program::File(word.to_owned()))
}

/// The simple commands of a shell line, their words without quotes and redirections.
fn parts(text: &str) -> Vec<Vec<String>> {
    let mut parts = vec![Vec::new()];
    let mut word = String::new();
    let (mut quote, mut begun, mut redirected) = (None, false, false);
    let mut letters = text.chars().peekable();
    let mut close = |word: &mut String, begun: &mut bool, redirected: &mut bool, end: bool| {
        if *begun {
            let done = std::mem::take(word);
            // The word after `>` is a file that is written, not a program.
            if !std::mem::take(redirected)
                && let Some(last) = parts.last_mut()
            {
                last.push(done);
            }
            *begun = false;
        }
        if end {
            *redirected = false;
            parts.push(Vec::new());
        }
    };
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(mark), _) if letter == mark => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                begun = true;
            }
            (None | Some('"'), '\\') => {
                word.extend(letters.next());
                begun = true;
            }
            (Some(_), _) => word.push(letter),
            (None, ' ' | '\t') => close(&mut word, &mut begun, &mut redirected, false),
            (None, '#') if !begun => break,
            (None, '&') if word.ends_with('>') || redirected => word.push(letter),
            (None, '\n' | '\r' | ';' | '|' | '&' | '(' | ')') => {
                close(&mut word, &mut begun, &mut redirected, true);
            }
            (None, '>' | '<') => {
                // `2>` is a redirection and not a word.
                word.clear();
                begun = false;
                redirected = true;
            }
            (None, _) => {
                word.push(letter);
                begun = true;
            }
        }
    }
    close(&mut word, &mut begun, &mut redirected, true);
    parts.retain(|it| !it.is_empty());
    parts
}

/// Words of a systemd command line, which is no shell: quotes and blanks only.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quote, mut begun) = (None, false);
    for letter in text.chars() {
        match (quote, letter) {
            (Some(mark), _) if letter == mark => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                begun = true;
            }
            (None, ' ' | '\t') => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            _ => {
                word.push(letter);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}
