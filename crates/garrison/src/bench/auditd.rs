//! auditd with a rule on execve, as a peer. Rules of the audit system are the whole machine's, so
//! a process of its own takes them away: it does so when its input ends, and so also when the
//! bench is killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::Context as _;

use super::storm;

/// Also with auditd off a kernel that ever audited prepares every process for it, unless a rule
/// says `never`; without that one the rounds beside it would not be as if there were no auditd.
const KEEPER: &str = r#"
trap : INT TERM HUP
dir=$1
was() { auditctl -s | sed -n "s/^$1 //p"; }
enabled=$(was enabled); backlog=$(was backlog_limit)
idle() { auditctl "-$1" task,never >&2; }
exec_rule() { auditctl "-$1" always,exit -F arch=b64 -S execve -S execveat -k garrison_bench >&2; }
on() {
    idle d && exec_rule a || return 1
    auditd -n -c "$dir" >&2 & daemon=$!
    i=0
    until [ "$(was pid)" = "$daemon" ]; do
        i=$((i + 1)); [ $i -lt 500 ] && kill -0 "$daemon" || return 1
        sleep 0.02
    done
}
off() {
    exec_rule d
    i=0
    until [ "$(was backlog)" = 0 ] || [ $i -gt 500 ]; do i=$((i + 1)); sleep 0.02; done
    kill "$daemon"; wait "$daemon"; daemon=; idle a
}
auditctl -b 8192 >&2 && idle a && echo ready
while read -r word; do "$word" && echo "$word" || break; done
[ -z "$daemon" ] || off
idle d; auditctl -b "$backlog" >&2; auditctl -e "$enabled" >&2
"#;

pub(super) struct Auditd {
    keeper: Child,
    lines: BufReader<ChildStdout>,
    folder: tempfile::TempDir,
}

impl Auditd {
    /// The inner error: why there is no auditd to compare with.
    pub(super) fn prepare() -> anyhow::Result<Result<Self, String>> {
        if let Some(reason) = reason_against() {
            return Ok(Err(reason));
        }
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("audit.log");
        std::fs::create_dir(folder.path().join("plugins"))?;
        let config = format!(
            "local_events = yes\nwrite_logs = yes\nlog_file = {}\nlog_format = ENRICHED\n\
             flush = INCREMENTAL_ASYNC\nfreq = 50\nmax_log_file = 4000\n\
             max_log_file_action = IGNORE\nspace_left = 75\nspace_left_action = IGNORE\n\
             admin_space_left = 50\nadmin_space_left_action = IGNORE\ndisk_full_action = IGNORE\n\
             disk_error_action = IGNORE\npriority_boost = 4\nplugin_dir = {}\n",
            log.display(),
            folder.path().join("plugins").display()
        );
        std::fs::write(folder.path().join("auditd.conf"), config)?;
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(folder.path())
            // Ctrl-C is for the bench; this one has to tidy up then.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(std::fs::File::create(folder.path().join("keeper.log"))?))
            .spawn()
            .context("cannot start a shell")?;
        let lines = BufReader::new(keeper.stdout.take().context("no standard output")?);
        let mut it = Self { keeper, lines, folder };
        if it.answer()? == "ready" {
            return Ok(Ok(it));
        }
        Ok(Err(it.log()))
    }

    /// From now on every program is audited.
    pub(super) fn on(&mut self) -> anyhow::Result<()> {
        self.tell("on")
    }

    pub(super) fn off(&mut self) -> anyhow::Result<()> {
        self.tell("off")
    }

    /// Programs of storms in the log, by their arguments.
    pub(super) fn logged(&self) -> anyhow::Result<usize> {
        let file = std::fs::File::open(self.log_file())?;
        let is_one = |line: &String| {
            line.contains("type=EXECVE")
                && line.split(['"', ' ']).any(|it| storm::number(it).is_some())
        };
        Ok(BufReader::new(file).lines().map_while(Result::ok).filter(is_one).count())
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("audit.log")
    }

    fn tell(&mut self, word: &str) -> anyhow::Result<()> {
        let input = self.keeper.stdin.as_mut().context("auditd was given up")?;
        writeln!(input, "{word}")?;
        let answer = self.answer()?;
        anyhow::ensure!(answer == word, "auditd cannot be turned {word}: {}", self.log());
        Ok(())
    }

    fn answer(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    fn log(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("keeper.log"));
        text.unwrap_or_default().trim().replace('\n', "; ")
    }
}

impl Drop for Auditd {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Rules and daemon are one for the machine: what is there is left alone.
fn reason_against() -> Option<String> {
    let output = match Command::new("auditctl").arg("-s").output() {
        Ok(it) if it.status.success() => it,
        Ok(it) => return Some(String::from_utf8_lossy(&it.stderr).trim().to_owned()),
        Err(error) => return Some(format!("auditctl cannot be started: {error}")),
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = |name: &str| {
        let line = text.lines().find_map(|it| it.strip_prefix(name))?;
        line.trim().parse::<u64>().ok()
    };
    match (number("enabled "), number("pid ")) {
        (Some(2), _) => Some("the rules of this machine are locked".to_owned()),
        (_, Some(pid)) if pid > 0 => Some(format!("process {pid} already audits this machine")),
        (Some(_), Some(_)) => rules_against(),
        _ => Some(format!("the kernel does not audit: {}", text.trim())),
    }
}

fn rules_against() -> Option<String> {
    let output = Command::new("auditctl").arg("-l").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    (!text.contains("No rules")).then(|| "this machine has audit rules of its own".to_owned())
}
