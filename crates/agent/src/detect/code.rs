//! How a shell or interpreter was told what to do: by code on the command line, by a script, or
//! by what arrives on its input.

use super::names::{ImageKind, MULTI_CALL};

/// What the arguments of a shell or interpreter say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given<'a> {
    /// `sh -c CODE`, `perl -e CODE`, `awk CODE`.
    pub code: Option<&'a str>,
    pub script: Option<&'a str>,
    /// It says its version or how it is used, and ends.
    pub only_tells: bool,
}

impl Given<'_> {
    /// Neither: it does what arrives on 0.
    pub fn reads_commands(&self) -> bool {
        self.code.is_none() && self.script.is_none() && !self.only_tells
    }
}

/// Options of one program that matter here.
struct Options {
    /// The code is the next argument, or what follows in the same.
    code: &'static [&'static str],
    /// Takes a value that is neither code nor script.
    value: &'static [&'static str],
    /// Names a module or file that is run.
    script: &'static [&'static str],
    /// Makes it say something of itself and end.
    tells: &'static [&'static str],
}

const SHELL: Options = Options {
    code: &["-c"],
    value: &["-o", "+o", "-O", "+O", "--rcfile", "--init-file"],
    script: &[],
    tells: &["--version", "--help"],
};
const PYTHON: Options = Options {
    code: &["-c"],
    value: &["-W", "-X", "-Q"],
    script: &["-m"],
    tells: &["-V", "-VV", "--version", "-h", "-?", "--help"],
};
const PERL: Options = Options {
    code: &["-e", "-E"],
    value: &["-I", "-M", "-m", "-C", "-F"],
    script: &[],
    tells: &["-v", "-V", "-h", "--version", "--help"],
};
const RUBY: Options = Options {
    code: &["-e"],
    value: &["-I", "-r", "-C", "-E", "-F", "-K"],
    script: &[],
    tells: &["-v", "--version", "-h", "--help"],
};
const PHP: Options = Options {
    code: &["-r", "-R", "-B", "-E", "--run"],
    value: &["-c", "-d", "-z", "--define"],
    script: &["-f", "--file", "-S", "-F"],
    tells: &["-v", "--version", "-i", "--info", "-m", "--modules", "-h", "--help", "--ini"],
};
const NODE: Options = Options {
    code: &["-e", "--eval", "-p", "--print", "-pe"],
    value: &["-r", "--require", "--import", "-C", "--conditions"],
    script: &[],
    tells: &["-v", "--version", "-h", "--help"],
};
const LUA: Options = Options { code: &["-e"], value: &["-l"], script: &[], tells: &["-v"] };
const AWK: Options = Options {
    code: &["--source", "-e"],
    value: &["-F", "-v", "--field-separator", "--assign", "-W"],
    script: &["-f", "--file"],
    tells: &["--version", "-h", "--help"],
};
const OTHER: Options =
    Options { code: &["-c", "-e"], value: &[], script: &["-f"], tells: &["--version", "--help"] };

/// Reads the arguments of the program `name` (its true name where it is known).
pub fn given<'a>(kind: ImageKind, name: &str, arguments: &'a [String]) -> Given<'a> {
    let bare = name.trim_end_matches(|it: char| it.is_ascii_digit() || it == '.');
    let is_awk = bare.ends_with("awk");
    let options = match bare {
        _ if kind == ImageKind::Shell => &SHELL,
        "python" | "pypy" => &PYTHON,
        it if it.starts_with("perl") => &PERL,
        "ruby" => &RUBY,
        "php" => &PHP,
        "node" | "nodejs" | "bun" | "deno" => &NODE,
        "lua" | "luajit" => &LUA,
        _ if is_awk => &AWK,
        _ => &OTHER,
    };
    let mut given = Given::default();
    // `busybox sh x`: what it is called as comes second.
    let called = arguments.first().and_then(|it| it.rsplit('/').next()).unwrap_or_default();
    let own = if MULTI_CALL.contains(&called) { 2 } else { 1 };
    let mut rest = arguments.iter().skip(own).map(String::as_str);
    while let Some(word) = rest.next() {
        if let Some(takes) = takes_code(kind, options, word) {
            given.code = if takes.is_empty() { rest.next() } else { Some(takes) };
            // A shell takes its options before the code, perl any number of pieces.
            return given;
        }
        if options.script.contains(&word) {
            given.script = rest.next();
            return given;
        }
        if options.value.contains(&word) {
            rest.next();
            continue;
        }
        if options.tells.contains(&word) {
            given.only_tells = true;
            return given;
        }
        match word {
            "--" => {}
            // Input, whatever follows.
            "-" => return given,
            "-s" if kind == ImageKind::Shell => return given,
            _ if word.starts_with('-') || (word.starts_with('+') && kind == ImageKind::Shell) => {}
            _ if is_awk => {
                given.code = Some(word);
                return given;
            }
            _ => {
                given.script = Some(word);
                return given;
            }
        }
    }
    given
}

/// The code that stands in this very word, empty where it is the next one; `None`: no option for
/// code. Short options may be joined: `bash -ic`, `perl -ne`.
fn takes_code<'a>(kind: ImageKind, options: &Options, word: &'a str) -> Option<&'a str> {
    if options.code.contains(&word) {
        return Some("");
    }
    let letters = word.strip_prefix('-').filter(|it| !it.starts_with('-') && !it.is_empty())?;
    if kind == ImageKind::Shell {
        let plain = letters.bytes().all(|it| it.is_ascii_alphabetic());
        return (plain && letters.contains('c') && !letters.contains('s')).then_some("");
    }
    let code =
        options.code.iter().filter_map(|it| it.strip_prefix('-')).find(|it| it.len() == 1)?;
    if let Some(joined) = letters.strip_prefix(code) {
        return Some(joined);
    }
    let flags = letters.strip_suffix(code)?;
    let harmless = flags.bytes().all(|it| b"nplawsi0".contains(&it));
    harmless.then_some("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_script_or_input() {
        for (kind, name, line, code, script) in [
            (ImageKind::Shell, "bash", "bash -i", None, None),
            (ImageKind::Shell, "bash", "bash", None, None),
            (ImageKind::Shell, "bash", "-bash", None, None),
            (ImageKind::Shell, "dash", "sh -s arg", None, None),
            (ImageKind::Shell, "bash", "bash -ic id", Some("id"), None),
            (ImageKind::Shell, "bash", "bash -o pipefail -c id", Some("id"), None),
            (ImageKind::Shell, "dash", "sh /x.sh a", None, Some("/x.sh")),
            (ImageKind::Shell, "bash", "bash --rcfile /x -i", None, None),
            (ImageKind::Interpreter, "python3.11", "python3 -c pass", Some("pass"), None),
            (
                ImageKind::Interpreter,
                "python3.11",
                "python3 -m http.server",
                None,
                Some("http.server"),
            ),
            (ImageKind::Interpreter, "python3.11", "python3 -u -", None, None),
            (ImageKind::Interpreter, "perl", "perl -MSocket -e print", Some("print"), None),
            (ImageKind::Interpreter, "perl", "perl -ne print", Some("print"), None),
            (ImageKind::Interpreter, "perl", "perl x.pl -e", None, Some("x.pl")),
            (ImageKind::Interpreter, "php8.2", "php -r 1;", Some("1;"), None),
            (ImageKind::Interpreter, "php8.2", "php -d a=b x.php", None, Some("x.php")),
            (ImageKind::Interpreter, "mawk", "awk -F : {print}", Some("{print}"), None),
            (ImageKind::Interpreter, "gawk", "awk -f x.awk", None, Some("x.awk")),
            (ImageKind::Interpreter, "node", "node", None, None),
            (ImageKind::Interpreter, "ruby", "ruby -rsocket -eputs", Some("puts"), None),
        ] {
            let arguments: Vec<String> = line.split(' ').map(ToOwned::to_owned).collect();
            let found = given(kind, name, &arguments);
            assert_eq!((found.code, found.script), (code, script), "{line}");
            assert_eq!(found.reads_commands(), code.is_none() && script.is_none(), "{line}");
        }
    }
}
