//! Opens everything that starts programs and is no unit.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use model::because;
use model::because::Because;
use model::time::Timestamp;

use super::tables::{self, Job, TABLE_BYTES_MAX};
use super::{Found, Item, Judged, Reading, command};
use crate::collect::fields::text;
use crate::collect::glob::expand;
use crate::collect::mask;
use crate::host_root::{FileKind, HostRoot};

/// Most files of one place.
const FILES_MAX: usize = 5_000;
/// Longest name made from a command.
const NAME_CHARS_MAX: usize = 120;

pub(super) fn read(root: &HostRoot, used: &mut Vec<PathBuf>) -> Found {
    let mut it = Reading { root, used, found: Found::default() };
    it.crontabs();
    it.at_jobs();
    it.scripts();
    it.init_scripts();
    it.shell_files();
    it.preloaded();
    it.udev();
    it.desktop();
    it.kernel_modules();
    it.found
}

impl Reading<'_> {
    /// The files in a folder, in name order; the folder is watched.
    fn files(&mut self, folder: &Path) -> Vec<PathBuf> {
        self.used.push(folder.to_owned());
        let mut entries = match self.root.read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                if !error.is_absent() {
                    self.found.skipped.push(error.because());
                }
                return Vec::new();
            }
        };
        entries.retain(|it| {
            matches!(it.kind, FileKind::File | FileKind::Symlink)
                && !it.name.as_encoded_bytes().starts_with(b".")
        });
        entries.sort();
        if entries.len() > FILES_MAX {
            let folder = text(folder.as_os_str().as_encoded_bytes());
            let why = because!("skip.files", "more than {max} files", max = FILES_MAX);
            self.found.skipped.push(why.at(&folder));
            entries.truncate(FILES_MAX);
        }
        entries.into_iter().map(|it| folder.join(it.name)).collect()
    }

    /// The content of a file that is watched.
    fn content(&mut self, path: &Path) -> Option<Vec<u8>> {
        self.used.push(path.to_owned());
        match self.root.read(path, TABLE_BYTES_MAX) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                if !error.is_absent() {
                    self.found.skipped.push(error.because());
                }
                None
            }
        }
    }

    fn crontabs(&mut self) {
        let mut system = vec![PathBuf::from("/etc/crontab")];
        system.extend(self.files(Path::new("/etc/cron.d")));
        for path in system {
            self.jobs(&path, "cron", None, |place, bytes| tables::crontab(place, bytes, true));
        }
        for folder in ["/var/spool/cron/crontabs", "/var/spool/cron", "/etc/crontabs"] {
            for path in self.files(Path::new(folder)) {
                let user = path.file_name().map(|it| text(it.as_encoded_bytes()));
                self.jobs(&path, "cron", user.as_deref(), |place, bytes| {
                    tables::crontab(place, bytes, false)
                });
            }
        }
        self.jobs(Path::new("/etc/anacrontab"), "anacron", Some("root"), tables::anacrontab);
        for period in ["hourly", "daily", "weekly", "monthly", "yearly"] {
            for path in self.files(&PathBuf::from(format!("/etc/cron.{period}"))) {
                self.script("cron", path, period);
            }
        }
        for folder in expand(self.root, "/etc/periodic/*") {
            let period =
                folder.file_name().map(|it| text(it.as_encoded_bytes())).unwrap_or_default();
            for path in self.files(&folder) {
                self.script("cron", path, &period);
            }
        }
    }

    fn jobs(
        &mut self,
        path: &Path,
        kind: &'static str,
        user: Option<&str>,
        parse: impl Fn(&str, &[u8]) -> (Vec<Job>, Vec<Because>),
    ) {
        let Some(bytes) = self.content(path) else { return };
        let (jobs, skipped) = parse(&text(path.as_os_str().as_encoded_bytes()), &bytes);
        self.found.skipped.extend(skipped);
        self.found.items.extend(jobs.into_iter().map(|it| {
            let shown = mask::command(&[it.command.clone().into_bytes()]);
            Item {
                kind,
                name: shown.chars().take(NAME_CHARS_MAX).collect(),
                path: path.to_owned(),
                schedule: Some(it.schedule),
                user: it.user.or_else(|| user.map(str::to_owned)),
                enabled: Some(true),
                judged: Judged::Programs(command::of_shell(&it.command)),
                command: Some(shown),
            }
        }));
    }

    fn script(&mut self, kind: &'static str, path: PathBuf, schedule: &str) {
        let executable = self.root.metadata(&path).is_ok_and(|it| it.mode & 0o111 != 0);
        self.used.push(path.clone());
        self.found.items.push(Item {
            kind,
            name: name_of(&path),
            command: Some(text(path.as_os_str().as_encoded_bytes())),
            path,
            schedule: Some(schedule.to_owned()),
            user: Some("root".to_owned()),
            enabled: Some(executable),
            judged: Judged::File,
        });
    }

    fn at_jobs(&mut self) {
        for folder in ["/var/spool/cron/atjobs", "/var/spool/at"] {
            for path in self.files(Path::new(folder)) {
                let Some(job) = self.content(&path).and_then(|it| tables::at_job(&it)) else {
                    continue;
                };
                let at = tables::at_time(&name_of(&path)).map(Timestamp::from_secs);
                let judged = command::of_shell(&job.command);
                self.found.items.push(Item {
                    kind: "at",
                    name: name_of(&path),
                    path,
                    command: Some(mask::command(&[job.command.into_bytes()])),
                    schedule: at.map(|it| it.to_string()),
                    user: job.uid.map(|it| it.to_string()),
                    enabled: Some(true),
                    judged: Judged::Programs(judged),
                });
            }
        }
    }

    /// Programs that systemd runs to make units, and rc.local.
    fn scripts(&mut self) {
        for place in [
            "/etc/systemd",
            "/run/systemd",
            "/usr/local/lib/systemd",
            "/usr/lib/systemd",
            "/lib/systemd",
        ] {
            // A merged /lib shows the same files again.
            let link =
                self.root.symlink_metadata("/lib").is_ok_and(|it| it.kind == FileKind::Symlink);
            if place.starts_with("/lib/") && link {
                continue;
            }
            for kind in [
                "system-generators",
                "user-generators",
                "system-environment-generators",
                "user-environment-generators",
            ] {
                for path in self.files(&Path::new(place).join(kind)) {
                    self.script("generator", path, kind.trim_end_matches('s'));
                }
            }
        }
        for path in ["/etc/rc.local", "/etc/rc.d/rc.local", "/etc/local.d/local.start"] {
            if self.root.metadata(path).is_ok() {
                self.script("rc_local", path.into(), "boot");
            } else {
                self.used.push(path.into());
            }
        }
    }

    fn init_scripts(&mut self) {
        let mut enabled = HashSet::new();
        for folder in expand(self.root, "/etc/rc[2-5].d")
            .into_iter()
            .chain(expand(self.root, "/etc/rc.d/rc[2-5].d"))
        {
            let links = self.files(&folder);
            // S01name starts, K01name stops.
            enabled.extend(links.iter().filter_map(|it| {
                let name = name_of(it);
                name.strip_prefix('S').and_then(|it| it.get(2..)).map(str::to_owned)
            }));
        }
        for folder in expand(self.root, "/etc/runlevels/*") {
            enabled.extend(self.files(&folder).iter().map(name_of));
        }
        for folder in ["/etc/init.d", "/etc/rc.d/init.d"] {
            let link =
                self.root.symlink_metadata(folder).is_ok_and(|it| it.kind == FileKind::Symlink);
            if link {
                continue;
            }
            for path in self.files(Path::new(folder)) {
                if matches!(name_of(&path).as_str(), "README" | "functions" | "skeleton") {
                    continue;
                }
                let on = enabled.contains(&name_of(&path));
                self.script("init_script", path, "boot");
                if let Some(item) = self.found.items.last_mut() {
                    item.enabled = Some(on);
                }
            }
        }
    }

    fn shell_files(&mut self) {
        let system = [
            "/etc/profile",
            "/etc/bash.bashrc",
            "/etc/bashrc",
            "/etc/zsh/zshrc",
            "/etc/zsh/zprofile",
            "/etc/zshrc",
        ];
        let mut files: Vec<(PathBuf, Option<String>)> =
            system.iter().map(|it| (it.into(), None)).collect();
        for home in ["/root", "/home/*"].iter().flat_map(|it| expand(self.root, it)) {
            let user = name_of(&home);
            for name in [
                ".profile",
                ".bashrc",
                ".bash_profile",
                ".bash_login",
                ".bash_logout",
                ".zshrc",
                ".zprofile",
            ] {
                files.push((home.join(name), Some(user.clone())));
            }
        }
        for (path, user) in files {
            self.used.push(path.clone());
            if self.root.metadata(&path).is_ok() {
                let item = Item {
                    kind: "shell_start",
                    name: name_of(&path),
                    path,
                    user,
                    enabled: Some(true),
                    ..Item::default()
                };
                self.found.items.push(Item { schedule: Some("log-in".to_owned()), ..item });
            }
        }
        for path in self.files(Path::new("/etc/profile.d")) {
            self.script("shell_start", path, "log-in");
            if let Some(item) = self.found.items.last_mut() {
                // Every shell reads it; nothing asks for the executable bit.
                (item.enabled, item.user) = (Some(true), None);
            }
        }
    }

    fn preloaded(&mut self) {
        let path = Path::new("/etc/ld.so.preload");
        let Some(bytes) = self.content(path) else { return };
        for library in tables::list(&bytes, &[':']) {
            self.found.items.push(Item {
                kind: "ld_preload",
                name: library.clone(),
                path: path.to_owned(),
                command: Some(library.clone()),
                schedule: Some("every program".to_owned()),
                user: None,
                enabled: Some(true),
                judged: Judged::Programs(vec![command::Program::File(library)]),
            });
        }
    }

    fn udev(&mut self) {
        let mut seen = HashSet::new();
        for folder in [
            "/etc/udev/rules.d",
            "/run/udev/rules.d",
            "/usr/local/lib/udev/rules.d",
            "/usr/lib/udev/rules.d",
            "/lib/udev/rules.d",
        ] {
            for path in self.files(Path::new(folder)) {
                // The first folder wins, and a merged /lib shows the same files again.
                if path.extension() != Some("rules".as_ref()) || !seen.insert(name_of(&path)) {
                    continue;
                }
                let Some(bytes) = self.content(&path) else { continue };
                for program in tables::udev_programs(&bytes) {
                    let mut words = command::words(&program);
                    if let Some(first) = words.first_mut().filter(|it| !it.starts_with('/')) {
                        *first = format!("/usr/lib/udev/{first}");
                    }
                    let shown = mask::command(&[program.into_bytes()]);
                    self.found.items.push(Item {
                        kind: "udev",
                        name: shown.chars().take(NAME_CHARS_MAX).collect(),
                        path: path.clone(),
                        command: Some(shown),
                        schedule: Some("device event".to_owned()),
                        user: Some("root".to_owned()),
                        enabled: Some(true),
                        judged: Judged::Programs(command::of_words(&words).into_iter().collect()),
                    });
                }
            }
        }
    }

    fn desktop(&mut self) {
        let mut folders = vec![(PathBuf::from("/etc/xdg/autostart"), None)];
        for folder in ["/root/.config/autostart", "/home/*/.config/autostart"]
            .iter()
            .flat_map(|it| expand(self.root, it))
        {
            let user = folder.ancestors().nth(2).map(name_of);
            folders.push((folder, user));
        }
        for (folder, user) in folders {
            for path in self.files(&folder) {
                if path.extension() != Some("desktop".as_ref()) {
                    continue;
                }
                let Some(entry) = self.content(&path).map(|it| tables::desktop(&it)) else {
                    continue;
                };
                let Some(line) = entry.command else { continue };
                self.found.items.push(Item {
                    kind: "desktop",
                    name: entry.name.unwrap_or_else(|| name_of(&path)),
                    path,
                    schedule: Some("desktop log-in".to_owned()),
                    user: user.clone(),
                    enabled: Some(!entry.hidden),
                    judged: Judged::Programs(
                        command::of_words(&command::words(&line)).into_iter().collect(),
                    ),
                    command: Some(mask::command(&[line.into_bytes()])),
                });
            }
        }
    }

    fn kernel_modules(&mut self) {
        let mut files = vec![PathBuf::from("/etc/modules")];
        for folder in ["/etc/modules-load.d", "/run/modules-load.d", "/usr/lib/modules-load.d"] {
            files.extend(self.files(Path::new(folder)));
        }
        for path in files {
            // /etc/modules-load.d/modules.conf is a link to /etc/modules on Debian.
            let link =
                self.root.symlink_metadata(&path).is_ok_and(|it| it.kind == FileKind::Symlink);
            let Some(bytes) = self.content(&path).filter(|_| !link) else { continue };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            // Parameters follow the name in /etc/modules.
            for name in text.lines().filter_map(|it| it.split_whitespace().next()) {
                if name.starts_with(['#', ';']) {
                    continue;
                }
                self.found.items.push(Item {
                    kind: "kernel_module",
                    name: name.to_owned(),
                    path: path.clone(),
                    schedule: Some("boot".to_owned()),
                    enabled: Some(true),
                    ..Item::default()
                });
            }
        }
    }
}

fn name_of(path: impl AsRef<Path>) -> String {
    path.as_ref().file_name().map(|it| text(it.as_encoded_bytes())).unwrap_or_default()
}
