//! The sensor on another kernel than this machine's: the distribution's stock one, started in a
//! virtual machine with nothing but a busybox and the check of `crates/sensor/examples`.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    setup,
    shell::{self, Output, Shell, find_program},
};

const EXAMPLE: &str = "kernel_check";
/// The machine is killed after this; without acceleration a run takes about 10 s.
const SECONDS_MAX: &str = "55";
const MEMORY_MIB: &str = "512";
/// What is mounted, and what runs. The check is no first process: that one may do anything.
const INIT: &str = "#!/bin/busybox sh
PATH=/bin; export PATH
/bin/busybox mkdir -p /proc /sys /dev /tmp /mnt /etc /root /var
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox mount -t securityfs none /sys/kernel/security
/bin/busybox mount -t tracefs none /sys/kernel/tracing
/bin/busybox mount -t tmpfs none /tmp
/bin/busybox ip link set lo up
echo 'nobody:x:65534:65534::/:/bin/false' > /etc/passwd
echo \"security modules: $(/bin/busybox cat /sys/kernel/security/lsm)\"
/bin/kernel_check
/bin/busybox poweroff -f
";

pub(crate) fn run(shell: &Shell) -> Result<Output> {
    shell::step(
        &format!("cargo build --example {EXAMPLE}"),
        shell.command("cargo").args([
            "build",
            "--quiet",
            "--locked",
            "--workspace",
            "--example",
            EXAMPLE,
        ]),
    )?;
    let folder = shell.target.join("kernel");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let archive = folder.join("initramfs.cpio");
    let mut bytes = Vec::new();
    pack(shell, &mut bytes)?;
    fs::write(&archive, bytes).with_context(|| format!("cannot write {}", archive.display()))?;
    let mut machine = shell.command("timeout");
    machine
        .args(["-s", "KILL", SECONDS_MAX, "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max"])
        .args(["-m", MEMORY_MIB, "-smp", "1", "-nographic", "-no-reboot", "-nodefaults"])
        .args(["-serial", "stdio", "-append", "console=ttyS0 quiet panic=-1 audit=1", "-kernel"])
        .arg(setup::kernel::image(shell))
        .arg("-initrd")
        .arg(&archive);
    shell::show("qemu", &mut machine)
}

/// The check with the libraries it is linked with, a busybox, and what starts them.
fn pack(shell: &Shell, out: &mut Vec<u8>) -> Result<()> {
    let check = shell.target.join("debug/examples").join(EXAMPLE);
    let busybox = find_program("busybox").context("there is no busybox")?;
    let mut files: Vec<(String, PathBuf)> =
        vec![("bin/busybox".to_owned(), busybox), (format!("bin/{EXAMPLE}"), check.clone())];
    for library in libraries(shell, &check)? {
        files.push((library.trim_start_matches('/').to_owned(), PathBuf::from(&library)));
    }
    let mut archive = Archive { out, next: 1, folders: Vec::new() };
    for (name, path) in files {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        archive.file(&name, &bytes)?;
    }
    archive.file("init", INIT.as_bytes())?;
    archive.end()
}

fn libraries(shell: &Shell, program: &Path) -> Result<Vec<String>> {
    let output = shell.command("ldd").arg(program).output().context("cannot start ldd")?;
    let found = paths(&String::from_utf8_lossy(&output.stdout));
    if found.is_empty() {
        bail!("ldd names no libraries of {}", program.display());
    }
    Ok(found)
}

/// `name => /path (0x…)`, or `/path (0x…)` for the loader.
fn paths(text: &str) -> Vec<String> {
    let words =
        text.lines().filter_map(|line| line.split_whitespace().find(|it| it.starts_with('/')));
    words.map(str::to_owned).collect()
}

/// An initial file system in the format `newc`: all numbers are eight hexadecimal digits.
struct Archive<'a> {
    out: &'a mut Vec<u8>,
    next: usize,
    folders: Vec<String>,
}

impl Archive<'_> {
    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let above: Vec<&str> =
            name.match_indices('/').filter_map(|(at, _)| name.get(..at)).collect();
        for folder in above {
            if !self.folders.iter().any(|it| it == folder) {
                self.folders.push(folder.to_owned());
                self.entry(folder, 0o040_755, &[])?;
            }
        }
        self.entry(name, 0o100_755, bytes)
    }

    fn end(&mut self) -> Result<()> {
        self.entry("TRAILER!!!", 0, &[])
    }

    fn entry(&mut self, name: &str, mode: usize, bytes: &[u8]) -> Result<()> {
        let fields = [self.next, mode, 0, 0, 1, 0, bytes.len(), 0, 0, 0, 0, name.len() + 1, 0];
        self.next += 1;
        write!(self.out, "070701")?;
        for field in fields {
            write!(self.out, "{field:08x}")?;
        }
        write!(self.out, "{name}\0")?;
        self.pad();
        self.out.extend(bytes);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        self.out.resize(self.out.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests;
