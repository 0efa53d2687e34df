//! What sudo lets an account do, by sudoers(5).
//!
//! Not every shade of the language matters here: the answer is whether an account may run
//! everything as root, something, or nothing, and whether it is asked for a password. Where a
//! rule depends on what cannot be known (an address, a netgroup) it is taken to apply.

use std::collections::HashMap;

use crate::collect::glob;
use crate::collect::process::parse::number;

/// Deepest nesting of aliases.
const ALIAS_DEPTH_MAX: usize = 16;

/// One statement of a sudoers file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    Include(String),
    IncludeDir(String),
    Alias {
        kind: AliasKind,
        name: String,
        members: Vec<Member>,
    },
    Rule(Rule),
    /// `Defaults !authenticate`, for everyone or for some.
    NoPassword(Option<Vec<Member>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AliasKind {
    User,
    Runas,
    Host,
    Command,
}

/// A member of a list: `name`, `!name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub negated: bool,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub users: Vec<Member>,
    pub hosts: Vec<Member>,
    pub commands: Vec<Command>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Absent: root. Empty: the user itself.
    pub runas: Option<Vec<Member>>,
    /// `NOPASSWD:` or `PASSWD:`, else as the defaults say.
    pub password: Option<bool>,
    pub command: Member,
}

/// The statements of one file, and the lines that make no sense.
pub fn parse(bytes: &[u8]) -> (Vec<Statement>, Vec<usize>) {
    let text = String::from_utf8_lossy(bytes);
    let (mut statements, mut skipped) = (Vec::new(), Vec::new());
    for (number, line) in logical_lines(&text) {
        match statement(&line, &mut statements) {
            Some(()) => {}
            None => skipped.push(number),
        }
    }
    (statements, skipped)
}

/// Lines joined at a trailing `\`, comments taken off, with the number of the first.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let (number, mut joined) = open.take().unwrap_or((index + 1, String::new()));
        let (body, more) = match line.strip_suffix('\\') {
            Some(body) => (body, true),
            None => (line, false),
        };
        joined.push_str(body);
        if more {
            open = Some((number, joined));
        } else {
            out.push((number, joined));
        }
    }
    out.extend(open);
    for (_, line) in &mut out {
        *line = without_comment(line).trim().to_owned();
    }
    out.retain(|(_, line)| !line.is_empty());
    out
}

/// A `#` begins a comment unless it is quoted, escaped, an id (`#1000`) or an old `#include`.
fn without_comment(line: &str) -> &str {
    let start = line.trim_start();
    if start.starts_with("#include") {
        return line;
    }
    let (mut quoted, mut escaped) = (false, false);
    for (at, letter) in line.char_indices() {
        let rest = line.get(at + 1..).unwrap_or_default();
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '#' if !quoted && !rest.starts_with(|it: char| it.is_ascii_digit()) => {
                return line.get(..at).unwrap_or_default();
            }
            _ => {}
        }
    }
    line
}

/// Adds what the line says. `None`: it is not understood.
fn statement(line: &str, into: &mut Vec<Statement>) -> Option<()> {
    let (word, rest) = line.split_once(|it: char| it.is_whitespace()).unwrap_or((line, ""));
    let path = rest.trim().trim_matches('"').replace("\\ ", " ");
    match word {
        "@include" | "#include" => into.push(Statement::Include(path)),
        "@includedir" | "#includedir" => into.push(Statement::IncludeDir(path)),
        "User_Alias" => aliases(AliasKind::User, rest, into)?,
        "Runas_Alias" => aliases(AliasKind::Runas, rest, into)?,
        "Host_Alias" => aliases(AliasKind::Host, rest, into)?,
        "Cmnd_Alias" | "Cmd_Alias" => aliases(AliasKind::Command, rest, into)?,
        _ if word.starts_with("Defaults") => defaults(word, rest, into),
        _ => rule(line, into)?,
    }
    Some(())
}

fn defaults(word: &str, rest: &str, into: &mut Vec<Statement>) {
    let scope = word.trim_start_matches("Defaults");
    let (users, settings) = match scope.strip_prefix(':') {
        Some(users) => (Some(members(users)), rest),
        None if scope.is_empty() => (None, rest),
        // Of a host, a command or a target user: says nothing about an account as such.
        None => return,
    };
    let off = split(settings, ',')
        .iter()
        .any(|it| it.strip_prefix('!').is_some_and(|name| name.trim() == "authenticate"));
    if off {
        into.push(Statement::NoPassword(users));
    }
}

fn aliases(kind: AliasKind, rest: &str, into: &mut Vec<Statement>) -> Option<()> {
    for part in split(rest, ':') {
        let (name, list) = part.split_once('=')?;
        let (name, members) = (name.trim().to_owned(), members(list));
        into.push(Statement::Alias { kind, name, members });
    }
    Some(())
}

/// `USERS HOSTS = COMMANDS [: HOSTS = COMMANDS]...`
fn rule(line: &str, into: &mut Vec<Statement>) -> Option<()> {
    let (left, mut right) = split_once(line, '=')?;
    let (users, mut hosts) = two_lists(left)?;
    let users = members(users);
    loop {
        let (commands, next) = next_hosts(right);
        let commands = self::commands(commands)?;
        into.push(Statement::Rule(Rule { users: users.clone(), hosts: members(hosts), commands }));
        let Some((more_hosts, more)) = next else { return Some(()) };
        (hosts, right) = (more_hosts, more);
    }
}

/// Splits `a, b c` after the first list: at white space that has no comma on either side.
fn two_lists(left: &str) -> Option<(&str, &str)> {
    let left = left.trim();
    let mut quoted = false;
    for (at, letter) in left.char_indices() {
        quoted ^= letter == '"';
        let (before, after) = left.split_at(at);
        let after = after.trim_start();
        let apart = letter.is_whitespace() && !before.ends_with('\\') && !quoted;
        let (before, joined) = (before.trim_end(), after.starts_with(','));
        if apart && !joined && !before.ends_with(',') && !before.ends_with('!') {
            return Some((before, after));
        }
    }
    None
}

/// Where the commands of one host list end and `: HOSTS = ...` begins. A `:` after a tag, or
/// inside `(user:group)`, is none.
fn next_hosts(right: &str) -> (&str, Option<(&str, &str)>) {
    for (at, _) in positions(right, ':') {
        let (before, after) = right.split_at(at);
        let word = before.trim_end().rsplit(|it: char| !is_tag_letter(it)).next();
        if word.is_some_and(|it| !it.is_empty() && TAGS.contains(&it)) {
            continue;
        }
        let after = after.get(1..).unwrap_or_default();
        if let Some(next) = split_once(after, '=') {
            return (before, Some(next));
        }
    }
    (right, None)
}

const TAGS: [&str; 16] = [
    "PASSWD",
    "NOPASSWD",
    "EXEC",
    "NOEXEC",
    "SETENV",
    "NOSETENV",
    "LOG_INPUT",
    "NOLOG_INPUT",
    "LOG_OUTPUT",
    "NOLOG_OUTPUT",
    "MAIL",
    "NOMAIL",
    "FOLLOW",
    "NOFOLLOW",
    "INTERCEPT",
    "NOINTERCEPT",
];

fn is_tag_letter(letter: char) -> bool {
    letter.is_ascii_uppercase() || letter == '_'
}

/// `[(RUNAS)] [OPTION=VALUE]... [TAG:]... COMMAND`, comma-separated. Run-as user and tags hold
/// for the commands after them too.
fn commands(text: &str) -> Option<Vec<Command>> {
    let mut out = Vec::new();
    let (mut runas, mut password) = (None, None);
    for part in split(text, ',') {
        let mut part = part.trim();
        if let Some(inside) = part.strip_prefix('(') {
            let (list, rest) = inside.split_once(')')?;
            let users = list.split(':').next().unwrap_or_default();
            runas = Some(members(users));
            part = rest.trim_start();
        }
        loop {
            let length = part.find(|it: char| !is_tag_letter(it)).unwrap_or(part.len());
            let (word, rest) = part.split_at(length);
            let rest = rest.trim_start();
            if let Some(rest) = rest.strip_prefix(':').filter(|_| TAGS.contains(&word)) {
                match word {
                    "NOPASSWD" => password = Some(false),
                    "PASSWD" => password = Some(true),
                    _ => {}
                }
                part = rest.trim_start();
            } else if let Some(rest) = rest.strip_prefix('=').filter(|_| !word.is_empty()) {
                // `ROLE=x`, `CWD=/`, `TIMEOUT=5`: a value without spaces.
                part = rest.split_once(char::is_whitespace).map_or("", |it| it.1).trim_start();
            } else {
                break;
            }
        }
        let command = member(part);
        if command.text.is_empty() {
            return None;
        }
        out.push(Command { runas: runas.clone(), password, command });
    }
    (!out.is_empty()).then_some(out)
}

fn members(list: &str) -> Vec<Member> {
    split(list, ',').into_iter().map(member).filter(|it| !it.text.is_empty()).collect()
}

fn member(text: &str) -> Member {
    let text = text.trim();
    let name = text.trim_start_matches(['!', ' ', '\t']);
    let marks = text.len() - name.len();
    let negated = text.chars().take(marks).filter(|it| *it == '!').count() % 2 == 1;
    let plain = name.trim_matches('"').replace('\\', "");
    Member { negated, text: plain }
}

/// Places of `mark` that are not escaped, quoted or in brackets.
fn positions(text: &str, mark: char) -> impl Iterator<Item = (usize, char)> + '_ {
    let (mut quoted, mut escaped, mut depth) = (false, false, 0_usize);
    text.char_indices().filter(move |(_, letter)| {
        if escaped {
            escaped = false;
            return false;
        }
        match letter {
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        *letter == mark && !quoted && !escaped && depth == 0
    })
}

fn split(text: &str, mark: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, _) in positions(text, mark) {
        parts.push(text.get(start..at).unwrap_or_default().trim());
        start = at + mark.len_utf8();
    }
    parts.push(text.get(start..).unwrap_or_default().trim());
    parts
}

fn split_once(text: &str, mark: char) -> Option<(&str, &str)> {
    let (at, _) = positions(text, mark).next()?;
    Some((text.get(..at)?, text.get(at + mark.len_utf8()..)?))
}

/// Who asks: an account of this host.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    pub name: &'a str,
    pub uid: u32,
    /// Names of all its groups, its own one among them.
    pub groups: &'a [&'a str],
    pub gid: u32,
    pub host: &'a str,
}

model::words! {
    /// How much sudo lets an account do.
    Extent {
        None = "none",
        /// Some commands, or everything but as another user than root.
        Limited = "limited",
        /// Every command as root.
        Full = "full",
    }
}

/// The rules of all files, in order.
#[derive(Clone, Debug, Default)]
pub struct Sudoers {
    rules: Vec<Rule>,
    aliases: HashMap<(AliasKind, String), Vec<Member>>,
    no_password: Vec<Option<Vec<Member>>>,
}

impl Sudoers {
    pub fn add(&mut self, statement: Statement) {
        match statement {
            Statement::Alias { kind, name, members } => {
                self.aliases.insert((kind, name), members);
            }
            Statement::Rule(rule) => self.rules.push(rule),
            Statement::NoPassword(users) => self.no_password.push(users),
            Statement::Include(_) | Statement::IncludeDir(_) => {}
        }
    }

    /// How much the account may do, and whether any of it without a password.
    pub fn extent(&self, asker: &Asker) -> (Extent, bool) {
        let user = |it: &str| matches_user(it, asker);
        let always = self.no_password.iter().any(|users| {
            users.as_ref().is_none_or(|it| self.listed(AliasKind::User, it, &user, 0) == Some(true))
        });
        let (mut extent, mut without) = (Extent::None, false);
        for rule in &self.rules {
            let host = |it: &str| matches_host(it, asker.host);
            if self.listed(AliasKind::User, &rule.users, &user, 0) != Some(true)
                || self.listed(AliasKind::Host, &rule.hosts, &host, 0) != Some(true)
            {
                continue;
            }
            for command in &rule.commands {
                let found = self.extent_of(command);
                extent = extent.max(found);
                without |= found != Extent::None && !command.password.unwrap_or(!always);
            }
        }
        (extent, without)
    }

    fn extent_of(&self, command: &Command) -> Extent {
        let list = std::slice::from_ref(&command.command);
        let all = |it: &str| it == "ALL";
        let any = |_: &str| true;
        if self.listed(AliasKind::Command, list, &any, 0) != Some(true) {
            return Extent::None;
        }
        let root = |it: &str| matches!(it, "ALL" | "root" | "#0");
        let as_root = match &command.runas {
            None => true,
            Some(users) => self.listed(AliasKind::Runas, users, &root, 0) == Some(true),
        };
        let everything = self.listed(AliasKind::Command, list, &all, 0) == Some(true);
        if everything && as_root { Extent::Full } else { Extent::Limited }
    }

    /// What the last matching member of a list says; `None` if none matches.
    fn listed(
        &self,
        kind: AliasKind,
        members: &[Member],
        matches: &dyn Fn(&str) -> bool,
        depth: usize,
    ) -> Option<bool> {
        members.iter().rev().find_map(|member| {
            let alias = self.aliases.get(&(kind, member.text.clone()));
            let says = match alias {
                Some(inner) if depth < ALIAS_DEPTH_MAX => {
                    self.listed(kind, inner, matches, depth + 1)?
                }
                Some(_) => return None,
                None if matches(&member.text) => true,
                None => return None,
            };
            Some(says != member.negated)
        })
    }
}

fn matches_user(member: &str, asker: &Asker) -> bool {
    let id = |digits: &str, of: u32| number(digits.as_bytes()) == Some(u64::from(of));
    if let Some(group) = member.strip_prefix('%') {
        return match group.strip_prefix('#') {
            Some(digits) => id(digits, asker.gid),
            // `%:group` is of another directory than /etc/group.
            None => asker.groups.contains(&group.trim_start_matches(':')),
        };
    }
    match member.strip_prefix('#') {
        Some(digits) => id(digits, asker.uid),
        None => member == "ALL" || member == asker.name,
    }
}

fn matches_host(member: &str, host: &str) -> bool {
    let short = host.split('.').next().unwrap_or(host);
    let unknowable = member.starts_with('+')
        || member.contains(':')
        || member.starts_with(|it: char| it.is_ascii_digit());
    let named = |name: &str| glob::matches(member.as_bytes(), name.as_bytes());
    member == "ALL" || unknowable || named(host) || named(short) || named("localhost")
}
