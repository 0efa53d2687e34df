//! The sensor, and a server with its agent, on other kernels than this machine's: those of the
//! distribution, started in virtual machines with nothing but a busybox and the checks of
//! `crates/sensor/examples` and `crates/garrison/examples`.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context, Result, anyhow, bail};

use crate::{
    setup,
    shell::{self, Output, Shell, find_program},
};

/// What is mounted. What runs is no first process: that one may do anything.
const INIT: &str = "#!/bin/busybox sh
PATH=/bin; export PATH
/bin/busybox mkdir -p /proc /sys /dev /tmp /mnt /etc /root /var/tmp /srv /usr/local/bin
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t securityfs none /sys/kernel/security
mount -t tracefs none /sys/kernel/tracing
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs none /tmp
ip link set lo up
echo 'root:x:0:0::/root:/bin/sh' > /etc/passwd
echo 'nobody:x:65534:65534::/:/bin/false' >> /etc/passwd
echo \"security modules: $(cat /sys/kernel/security/lsm)\"
/bin/@CHECK@
poweroff -f
";

/// One start of a virtual machine.
struct Machine {
    kernel: setup::kernel::Kernel,
    /// The example that runs, with what it needs beside a busybox.
    check: &'static str,
    programs: &'static [&'static str],
    memory_mib: &'static str,
    processors: &'static str,
    /// It is killed after this; nothing accelerates it, and an idle host takes a fraction of it.
    seconds_max: &'static str,
}

const MACHINES: [Machine; 3] = [
    Machine {
        kernel: setup::kernel::STOCK,
        check: "kernel_check",
        programs: &[],
        memory_mib: "512",
        processors: "1",
        seconds_max: "120",
    },
    Machine {
        kernel: setup::kernel::NEWER,
        check: "kernel_check",
        programs: &[],
        memory_mib: "512",
        processors: "1",
        seconds_max: "120",
    },
    Machine {
        kernel: setup::kernel::STOCK,
        check: "kernel_agent",
        programs: &["garrison"],
        memory_mib: "1536",
        processors: "2",
        seconds_max: "600",
    },
];

/// All machines at once; the text holds one line `kernel …` for each that came to its end.
pub(crate) fn run(shell: &Shell) -> Result<Output> {
    build(shell)?;
    let ready = MACHINES.iter().map(|it| prepare(shell, it)).collect::<Result<Vec<_>>>()?;
    let outputs: Vec<Result<Output>> = thread::scope(|scope| {
        let begun: Vec<_> = MACHINES
            .iter()
            .zip(ready)
            .map(|(machine, mut command)| {
                scope.spawn(move || shell::hear(&format!("qemu {}", machine.check), &mut command))
            })
            .collect();
        let lost = || Err(anyhow!("the thread of a machine ended by a panic"));
        begun.into_iter().map(|it| it.join().unwrap_or_else(|_| lost())).collect()
    });
    let mut all = Output { success: true, text: String::new() };
    for output in outputs {
        let output = output?;
        let ended = output.text.lines().any(|line| line.starts_with("kernel "));
        all.success &= output.success && ended;
        all.text.push_str(&output.text);
    }
    Ok(all)
}

fn build(shell: &Shell) -> Result<()> {
    let mut build = shell.command("cargo");
    build.args(["build", "--quiet", "--locked", "--workspace", "--bin", "garrison"]);
    for machine in &MACHINES {
        build.args(["--example", machine.check]);
    }
    shell::step("cargo build of what runs on other kernels", &mut build)
}

fn prepare(shell: &Shell, machine: &Machine) -> Result<Command> {
    let folder = shell.target.join("kernel");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let archive = folder.join(format!("{}.cpio", machine.check));
    let mut bytes = Vec::new();
    pack(shell, machine, &folder, &mut bytes)?;
    fs::write(&archive, bytes).with_context(|| format!("cannot write {}", archive.display()))?;
    let mut command = shell.command("timeout");
    command
        .args(["-s", "KILL", machine.seconds_max, "qemu-system-x86_64", "-accel", "tcg"])
        .args(["-cpu", "max", "-m", machine.memory_mib, "-smp", machine.processors])
        .args(["-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio"])
        .args(["-append", "console=ttyS0 quiet panic=-1 audit=1", "-kernel"])
        .arg(machine.kernel.image(shell))
        .arg("-initrd")
        .arg(&archive);
    Ok(command)
}

/// The check and its programs with the libraries they are linked with, a busybox, and what starts
/// them. What debuggers want stays outside: it is most of a program.
fn pack(shell: &Shell, machine: &Machine, folder: &Path, out: &mut Vec<u8>) -> Result<()> {
    let busybox = find_program("busybox").context("there is no busybox")?;
    let mut files = vec![("bin/busybox".to_owned(), busybox)];
    let built = shell.target.join("debug");
    let programs = machine.programs.iter().map(|it| (*it, built.join(it)));
    for (name, program) in
        programs.chain([(machine.check, built.join("examples").join(machine.check))])
    {
        for library in libraries(shell, &program)? {
            files.push((library.trim_start_matches('/').to_owned(), PathBuf::from(&library)));
        }
        let stripped = folder.join(name);
        let mut strip = shell.command("strip");
        shell::step(&format!("strip {name}"), strip.arg("-o").arg(&stripped).arg(&program))?;
        files.push((format!("bin/{name}"), stripped));
    }
    files.sort();
    files.dedup();
    let mut archive = Archive { out, next: 1, folders: Vec::new() };
    for (name, path) in files {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        archive.file(&name, &bytes)?;
    }
    archive.file("init", INIT.replace("@CHECK@", machine.check).as_bytes())?;
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
