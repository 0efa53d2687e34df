//! The three shapes of configuration file that servers use, flattened to keys and values.

/// Most settings taken from one file.
const SETTINGS_MAX: usize = 20_000;

/// One setting and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// Lower case; sections and nesting are joined by dots.
    pub(super) key: String,
    pub(super) value: String,
    pub(super) line: u32,
}

/// `key value`, `key = value` and `key: value` lines; `[section]` goes before the key, and `-`
/// in keys is `_`, as MySQL has it. Comments begin with `#` or `;`.
pub(super) fn pairs(bytes: &[u8]) -> Vec<Setting> {
    let text = String::from_utf8_lossy(bytes);
    let mut section = String::new();
    let mut settings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) || settings.len() >= SETTINGS_MAX {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|it| it.split(']').next()) {
            section = format!("{}.", name.trim().to_lowercase());
            continue;
        }
        let end = line.find(|it: char| it.is_whitespace() || it == '=' || it == ':');
        let (key, rest) = line.split_at(end.unwrap_or(line.len()));
        let value =
            rest.trim_start_matches(|it: char| it.is_whitespace() || it == '=' || it == ':');
        // A comment may follow: `port = 5432  # (change requires restart)`.
        let value = value.split(" #").next().unwrap_or(value).split("\t#").next().unwrap_or(value);
        settings.push(Setting {
            key: format!("{section}{}", key.to_lowercase().replace('-', "_")),
            value: unquoted(value),
            line: index as u32 + 1,
        });
    }
    settings
}

/// Block mappings of YAML; lists are the text they stand in, joined by commas. Anchors, block
/// texts and flow mappings are not followed: servers' own files do not use them.
pub(super) fn yaml(bytes: &[u8]) -> Vec<Setting> {
    let text = String::from_utf8_lossy(bytes);
    let mut open: Vec<(usize, String)> = Vec::new();
    let mut settings: Vec<Setting> = Vec::new();
    for (index, raw) in text.lines().enumerate() {
        let line = raw.split(" #").next().unwrap_or(raw);
        let body = line.trim();
        if body.is_empty()
            || body.starts_with('#')
            || body == "---"
            || settings.len() >= SETTINGS_MAX
        {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        if let Some(member) = body.strip_prefix("- ") {
            if let Some(last) = settings.last_mut() {
                let comma = if last.value.is_empty() { "" } else { "," };
                last.value.push_str(comma);
                last.value.push_str(&unquoted(member));
            }
            continue;
        }
        let Some((key, value)) = body.split_once(':') else { continue };
        while open.last().is_some_and(|(depth, _)| *depth >= indent) {
            open.pop();
        }
        let above = open.last().map(|(_, path)| format!("{path}.")).unwrap_or_default();
        let path = format!("{above}{}", unquoted(key).to_lowercase());
        settings.push(Setting {
            key: path.clone(),
            value: unquoted(value),
            line: index as u32 + 1,
        });
        // Deeper nesting than any server has is not followed.
        if open.len() < 32 {
            open.push((indent, path));
        }
    }
    settings
}

/// The options of a command line: `--name value`, `--name=value`, `-x value`, `-x`.
pub(super) fn options(arguments: &[String]) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut rest = arguments.iter().skip(1).peekable();
    while let Some(argument) = rest.next() {
        let Some(name) = argument.strip_prefix('-') else { continue };
        let name = name.trim_start_matches('-');
        let (key, value) = match name.split_once('=') {
            Some((key, value)) => (key, value.to_owned()),
            None => (name, rest.next_if(|it| !it.starts_with('-')).cloned().unwrap_or_default()),
        };
        settings.push(Setting { key: key.to_owned(), value, line: 0 });
    }
    settings
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    let inner = ['"', '\''].iter().find_map(|it| text.strip_prefix(*it)?.strip_suffix(*it));
    inner.unwrap_or(text).to_owned()
}
