//! Puts the agent on a machine and takes it off again.
//!
//! Under systemd it is a unit with limits; elsewhere a supervisor of its own keeps it running
//! (until the next boot: such a machine has to start `garrison agent supervise` itself).
//! Programs run here: `systemctl`, and this one.

pub(crate) mod permit;
pub mod supervise;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use model::enrol::EnrolToken;
use model::time::Timestamp;
use model::wire::HostFacts;

use crate::enrol::{self, EnrolError};
use crate::identity::{self, Identity, IdentityError};
use crate::immutable;
use crate::link::connect;
use crate::respond::block;
use crate::state::StateError;

const UNIT: &str = include_str!("install/garrison-agent.service");
const UNIT_NAME: &str = "garrison-agent.service";
/// Set up by systemd itself: sd_booted(3).
const SYSTEMD_MARK: &str = "/run/systemd/system";

/// Why the agent could not be installed or removed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error("cannot {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("this must run as root")]
    NotRoot,
    #[error("this machine is not enrolled yet: a token is needed")]
    NoToken,
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(
        "the vault holds {0} isolated files: restore or delete them first, or discard them with it"
    )]
    Isolated(usize),
    #[error(transparent)]
    Flag(#[from] immutable::FlagError),
    #[error("the permission to stop")]
    Permit(#[from] StateError),
    #[error("`systemctl {what}` failed: {said}")]
    Systemctl { what: String, said: String },
    #[error("the agent does not stop (process {0})")]
    DoesNotStop(i32),
}

/// Where the parts lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    pub program: PathBuf,
    /// Holds `state` and the supervisor's files; nobody else's.
    pub home: PathBuf,
    pub state: PathBuf,
    pub unit: PathBuf,
}

impl Places {
    /// As on any machine, below `root`.
    pub fn under(root: &Path) -> Self {
        let home = root.join("var/lib/garrison");
        Self {
            program: root.join("usr/local/bin/garrison"),
            state: home.join("agent"),
            home,
            unit: root.join("etc/systemd/system").join(UNIT_NAME),
        }
    }
}

/// What installing did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    pub host: String,
    /// False when the machine was enrolled already.
    pub enrolled: bool,
    pub by: Manager,
}

/// What keeps the agent running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    Systemd,
    Supervisor,
}

impl Manager {
    pub fn here() -> Self {
        if Path::new(SYSTEMD_MARK).is_dir() { Self::Systemd } else { Self::Supervisor }
    }
}

/// Copies this program into place, enrols the machine unless it is enrolled with the server of
/// the token, and starts the agent. Done again, it repairs whatever is missing.
pub async fn install(
    places: &Places,
    token: Option<&EnrolToken>,
    facts: HostFacts,
    now: Timestamp,
) -> Result<Installed, InstallError> {
    if !rustix::process::geteuid().is_root() {
        return Err(InstallError::NotRoot);
    }
    let by = Manager::here();
    let kept = usable(identity::load(&places.state), token, now);
    if kept.is_none() && token.is_none() {
        return Err(InstallError::NoToken);
    }
    permit(places, token)?;
    stop(places, by)?;
    release(places)?;
    place_program(Path::new("/proc/self/exe"), &places.program)?;
    identity::make_dir(&places.home)?;
    identity::make_dir(&places.state)?;
    let (identity, enrolled) = match (kept, token) {
        (Some(it), _) => (it, false),
        (None, Some(token)) => (enrol::enrol(token, &places.state, facts, now).await?, true),
        (None, None) => return Err(InstallError::NoToken),
    };
    start(places, by)?;
    Ok(Installed { host: identity.host, enrolled, by })
}

/// Stops the agent and removes everything it put on the machine, itself last. With a `token` the
/// server raises no alarm about it. Isolated files go with the vault, so they have to be put back
/// or deleted before, unless `discard_isolated`.
pub fn uninstall(
    places: &Places,
    token: Option<&EnrolToken>,
    discard_isolated: bool,
) -> Result<(), InstallError> {
    if !rustix::process::geteuid().is_root() {
        return Err(InstallError::NotRoot);
    }
    let isolated = isolated(&places.state);
    if isolated > 0 && !discard_isolated {
        return Err(InstallError::Isolated(isolated));
    }
    let by = Manager::here();
    permit(places, token)?;
    stop(places, by)?;
    release(places)?;
    // A host whose kernel has no packet filter has no table either.
    if let Err(error) = block::clear() {
        tracing::warn!(%error, "blocked addresses");
    }
    if by == Manager::Systemd && places.unit.exists() {
        systemctl(&["disable", UNIT_NAME])?;
    }
    remove(&places.unit, |it| fs::remove_file(it))?;
    if by == Manager::Systemd {
        systemctl(&["daemon-reload"])?;
    }
    remove(&places.state, |it| fs::remove_dir_all(it))?;
    for name in supervise::FILES {
        remove(&places.home.join(name), |it| fs::remove_file(it))?;
    }
    // A server may keep its data beside the agent's: only an empty directory goes.
    if fs::read_dir(&places.home).is_ok_and(|mut it| it.next().is_none()) {
        remove(&places.home, |it| fs::remove_dir(it))?;
    }
    remove(&places.program, |it| fs::remove_file(it))
}

/// The identity that is there, if it can go on being used with the server of `token`.
fn usable(
    found: Result<Identity, IdentityError>,
    token: Option<&EnrolToken>,
    now: Timestamp,
) -> Option<Identity> {
    let identity = found.ok()?;
    let latest = identity.next.as_ref().unwrap_or(&identity.current).not_after;
    let ca = connect::digest(&identity.ca.0.as_slice().into());
    let same_server = token.is_none_or(|it| it.ca_pin == ca);
    (same_server && latest > now).then_some(identity)
}

fn permit(places: &Places, token: Option<&EnrolToken>) -> Result<(), InstallError> {
    match token {
        Some(token) if places.state.is_dir() => Ok(permit::write(&places.state, token)?),
        _ => Ok(()),
    }
}

/// Files in the vault.
fn isolated(state: &Path) -> usize {
    let entries = fs::read_dir(state.join("vault")).into_iter().flatten().flatten();
    entries.filter(|it| it.path().extension().is_some_and(|it| it == "sealed")).count()
}

fn start(places: &Places, by: Manager) -> Result<(), InstallError> {
    match by {
        Manager::Systemd => {
            write(&places.unit, unit(places).as_bytes(), 0o644)?;
            systemctl(&["daemon-reload"])?;
            systemctl(&["enable", UNIT_NAME])?;
            systemctl(&["restart", UNIT_NAME])
        }
        Manager::Supervisor => {
            let log = places.home.join(supervise::LOG_FILE);
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&log);
            let file = file.map_err(|it| io_error("open", &log, it))?;
            let mut command = Command::new(&places.program);
            command.args(["agent", "supervise", "--home"]).arg(&places.home);
            command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
            let child = command.spawn();
            child.map(drop).map_err(|it| io_error("start", &places.program, it))
        }
    }
}

fn stop(places: &Places, by: Manager) -> Result<(), InstallError> {
    if by == Manager::Systemd && places.unit.exists() {
        systemctl(&["stop", UNIT_NAME])?;
    }
    supervise::stop(&places.home)
}

/// Takes the immutable flag away that a policy may have put on the agent's files.
fn release(places: &Places) -> Result<(), InstallError> {
    for path in [&places.program, &places.unit] {
        immutable::unlock(path)?;
    }
    Ok(())
}

fn unit(places: &Places) -> String {
    UNIT.replace("@PROGRAM@", &places.program.display().to_string())
        .replace("@STATE@", &places.state.display().to_string())
}

/// Copies `from` over `to` in one step, unless it is the same already.
fn place_program(from: &Path, to: &Path) -> Result<(), InstallError> {
    let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    let source = fs::metadata(from).map_err(|it| io_error("look at", from, it))?;
    if fs::metadata(to).is_ok_and(|it| same(&it, &source)) {
        return Ok(());
    }
    if let Some(dir) = to.parent() {
        fs::create_dir_all(dir).map_err(|it| io_error("create", dir, it))?;
    }
    let next = to.with_extension("next");
    let copy = || -> io::Result<()> {
        let mut out =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o755).open(&next)?;
        io::copy(&mut File::open(from)?, &mut out)?;
        fs::set_permissions(&next, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        out.sync_all()?;
        drop(out);
        fs::rename(&next, to)
    };
    copy().map_err(|it| io_error("write", to, it))
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), InstallError> {
    let put = || -> io::Result<()> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(path, bytes)?;
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
    };
    put().map_err(|it| io_error("write", path, it))
}

/// What is not there is removed already.
fn remove(path: &Path, how: impl Fn(&Path) -> io::Result<()>) -> Result<(), InstallError> {
    match how(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", path, error))
        }
        _ => Ok(()),
    }
}

fn systemctl(what: &[&str]) -> Result<(), InstallError> {
    let output = Command::new("systemctl").args(what).output();
    let output = output.map_err(|it| io_error("run", Path::new("systemctl"), it))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(InstallError::Systemctl { what: what.join(" "), said })
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> InstallError {
    InstallError::Io { action, path: path.to_owned(), source }
}
