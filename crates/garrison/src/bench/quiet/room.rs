//! Where the work is played: this machine's files under a layer that takes every change and goes
//! away with the process, a network with nothing but loopback, and the programs' own /tmp and /run.
//! The pieces that need the internet start from a thread that kept the machine's network.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use agent::respond::namespace;
use anyhow::{Context as _, bail};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind_recursive, unmount};

use super::piece::{self, Outcome, PIECES, Piece};

/// Exists on every system that follows the hierarchy standard; what is in it is not needed here.
const PLACE: &str = "/mnt";
/// What the layer may take of memory.
const LAYER_OPTIONS: &std::ffi::CStr = c"size=8g,mode=755";
/// Where the scripts lie: a home directory, as an administrator's would.
const SCRIPTS: &str = "/root/quiet";
const STATE: &str = "/var/lib/garrison-quiet";

pub(super) struct Room {
    asks: SyncSender<(&'static Piece, u32)>,
    answers: Receiver<anyhow::Result<Outcome>>,
}

/// Moves this process into the room; there is no way back.
pub(super) fn enter() -> anyhow::Result<Room> {
    namespace::private_mounts()?;
    let resolver = fs::read("/etc/resolv.conf").unwrap_or_default();
    build().context("cannot build the room")?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    // Where the names of hosts come from may have been a link to what /run held.
    if !Path::new("/etc/resolv.conf").exists() {
        let _ = fs::remove_file("/etc/resolv.conf");
        fs::write("/etc/resolv.conf", resolver)?;
    }
    fs::create_dir_all(STATE)?;
    fs::create_dir_all(SCRIPTS)?;
    fs::write(format!("{SCRIPTS}/lib.sh"), piece::LIBRARY)?;
    for it in PIECES {
        fs::write(script(it), it.script)?;
    }
    prepare()?;
    let outside = outside()?;
    namespace::private_network()?;
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    if !up.context("cannot start `ip`")?.success() {
        bail!("cannot switch the room's network on");
    }
    Ok(outside)
}

fn prepare() -> anyhow::Result<()> {
    let script = format!("{SCRIPTS}/prepare.sh");
    fs::write(&script, piece::PREPARATION)?;
    let output = Command::new("/bin/bash").arg(&script).output().context("cannot start bash")?;
    let told = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "the host could not be set up: {told}");
    Ok(())
}

fn build() -> anyhow::Result<()> {
    let none = MountFlags::empty();
    mount("tmpfs", PLACE, "tmpfs", none, LAYER_OPTIONS)?;
    let [layer, work, root] = ["layer", "work", "root"].map(|it| format!("{PLACE}/{it}"));
    for it in [&layer, &work, &root] {
        fs::create_dir(it)?;
    }
    let options = format!("lowerdir=/,upperdir={layer},workdir={work},xino=on");
    let options = std::ffi::CString::new(options)?;
    mount("overlay", &*root, "overlay", none, options.as_c_str())
        .context("cannot lay a layer over /")?;
    for it in ["/proc", "/sys"] {
        mount_bind_recursive(it, format!("{root}{it}"))
            .with_context(|| format!("cannot mount {it}"))?;
    }
    devices(&root).context("cannot mount /dev")?;
    for (it, options) in [("/run", c"mode=755"), ("/tmp", c"mode=1777")] {
        mount("tmpfs", format!("{root}{it}"), "tmpfs", none, options)?;
    }
    for (it, mode) in [("/run/lock", 0o1777), ("/run/sshd", 0o755)] {
        let it = format!("{root}{it}");
        fs::create_dir(&it)?;
        fs::set_permissions(&it, fs::Permissions::from_mode(mode))?;
    }
    let old = format!("{root}/mnt");
    rustix::process::pivot_root(&root, &old)?;
    std::env::set_current_dir("/")?;
    Ok(unmount("/mnt", UnmountFlags::DETACH)?)
}

/// The machine's devices, under a layer as well: a syslog daemon makes its socket there.
fn devices(root: &str) -> anyhow::Result<()> {
    let none = MountFlags::empty();
    let [layer, work] = ["devices", "devices.work"].map(|it| format!("{PLACE}/{it}"));
    for it in [&layer, &work] {
        fs::create_dir(it)?;
    }
    let options = format!("lowerdir=/dev,upperdir={layer},workdir={work}");
    let options = std::ffi::CString::new(options)?;
    mount("overlay", format!("{root}/dev"), "overlay", none, options.as_c_str())?;
    mount_bind_recursive("/dev/pts", format!("{root}/dev/pts"))?;
    Ok(mount("tmpfs", format!("{root}/dev/shm"), "tmpfs", none, c"mode=1777")?)
}

/// A thread that keeps the network it was started in, and plays what needs it.
fn outside() -> anyhow::Result<Room> {
    let (asks, asked) = sync_channel::<(&'static Piece, u32)>(0);
    let (answer, answers) = sync_channel(0);
    let work = move || {
        for (piece, spared) in asked {
            if answer.send(piece::play(piece, &script(piece), spared)).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("outside".to_owned()).spawn(work)?;
    Ok(Room { asks, answers })
}

fn script(piece: &Piece) -> PathBuf {
    Path::new(SCRIPTS).join(piece.name).with_extension("sh")
}

impl Room {
    /// `spared` runs beside the piece and is none of its processes.
    pub(super) fn play(&self, piece: &'static Piece, spared: u32) -> anyhow::Result<Outcome> {
        if !piece.internet {
            return piece::play(piece, &script(piece), spared);
        }
        self.asks.send((piece, spared)).context("the thread outside ended")?;
        self.answers.recv().context("the thread outside ended")?
    }

    #[expect(clippy::unused_self, reason = "there is one only in a room")]
    pub(super) fn state_dir(&self) -> &Path {
        Path::new(STATE)
    }
}
