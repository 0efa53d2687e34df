//! Unit files (systemd.syntax(7), systemd.unit(5)): what a unit runs, as whom, and when.

use std::collections::BTreeMap;

use model::because;
use model::because::Because;

/// Longest unit file or drop-in.
pub(super) const UNIT_BYTES_MAX: usize = 1 << 20;

/// Settings of a unit: section and key to values in order. An empty value forgets those before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unit {
    settings: BTreeMap<(String, String), Vec<String>>,
    pub(super) skipped: Vec<Because>,
}

impl Unit {
    /// Adds what a file says; a drop-in is added after the unit. `place` is used in messages.
    pub(super) fn add(&mut self, place: &str, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let mut section = String::new();
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let mut line = line.trim().to_owned();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            while line.ends_with('\\') {
                line.pop();
                line.push(' ');
                // Comments between continued lines are left out.
                match lines.find(|(_, it)| !it.trim_start().starts_with(['#', ';'])) {
                    Some((_, next)) => line.push_str(next.trim()),
                    None => break,
                }
            }
            if let Some(name) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
                name.clone_into(&mut section);
            } else if let Some((key, value)) = line.split_once('=') {
                let values =
                    self.settings.entry((section.clone(), key.trim().to_owned())).or_default();
                match value.trim() {
                    "" => values.clear(),
                    value => values.push(value.to_owned()),
                }
            } else {
                let why = because!("config.no_setting", "neither a section nor a setting");
                self.skipped.push(why.at(&format!("{place}:{}", index + 1)));
            }
        }
    }

    pub(super) fn all(&self, section: &str, key: &str) -> &[String] {
        self.settings.get(&(section.to_owned(), key.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// The value that counts where one is wanted: the last.
    pub(super) fn last(&self, section: &str, key: &str) -> Option<&str> {
        self.all(section, key).last().map(String::as_str)
    }

    pub(super) fn has_section(&self, section: &str) -> bool {
        self.settings.keys().any(|(it, _)| it == section)
    }

    /// The commands of a service, without the marks `@-:+!|` before the path.
    pub(super) fn commands(&self) -> Vec<&str> {
        ["ExecStart", "ExecStartPre", "ExecStartPost"]
            .iter()
            .flat_map(|key| self.all("Service", key))
            .map(|it| it.trim_start_matches(['@', '-', ':', '+', '!', '|']))
            .collect()
    }

    /// When a timer fires or what a path or socket unit waits for.
    pub(super) fn schedule(&self) -> Option<String> {
        let of = |section: &str, keys: &[&str]| {
            keys.iter()
                .flat_map(|key| self.all(section, key).iter().map(move |it| format!("{key}={it}")))
                .collect::<Vec<_>>()
        };
        let mut all = of(
            "Timer",
            &[
                "OnCalendar",
                "OnBootSec",
                "OnStartupSec",
                "OnUnitActiveSec",
                "OnUnitInactiveSec",
                "OnActiveSec",
            ],
        );
        all.extend(of(
            "Path",
            &["PathExists", "PathExistsGlob", "PathChanged", "PathModified", "DirectoryNotEmpty"],
        ));
        all.extend(of(
            "Socket",
            &["ListenStream", "ListenDatagram", "ListenFIFO", "ListenNetlink"],
        ));
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// `getty@tty1.service` is an instance of `getty@.service`.
pub(super) fn template_of(name: &str) -> Option<String> {
    let (stem, ending) = name.rsplit_once('.')?;
    let (template, instance) = stem.split_once('@')?;
    (!instance.is_empty()).then(|| format!("{template}@.{ending}"))
}
