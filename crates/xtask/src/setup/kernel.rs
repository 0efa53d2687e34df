//! The distribution's kernels, fetched as packages and taken apart without being installed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::shell::{self, Shell};

const PREFIX: &str = "linux-image-";

/// One of the distribution's kernels for virtual machines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel {
    /// The package that depends on the newest of them.
    package: &'static str,
    /// Of the cache.
    folder: &'static str,
}

/// What a host of the distribution runs.
pub(crate) const STOCK: Kernel = Kernel { package: "linux-image-cloud-amd64", folder: "kernel" };
/// What it may run, and the next distribution does.
pub(crate) const NEWER: Kernel =
    Kernel { package: "linux-image-6.12-cloud-amd64", folder: "kernel-6.12" };

impl Kernel {
    pub(crate) fn image(self, shell: &Shell) -> PathBuf {
        shell.cache.join(self.folder).join("vmlinuz")
    }
}

pub(super) fn ensure(shell: &Shell) -> Result<()> {
    [STOCK, NEWER].into_iter().try_for_each(|it| fetch(shell, it))
}

fn fetch(shell: &Shell, kernel: Kernel) -> Result<()> {
    let image = kernel.image(shell);
    if image.is_file() {
        return Ok(());
    }
    let folder = image.parent().context("the image lies in a folder")?;
    let unpacked = folder.join("unpacked");
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(&unpacked).with_context(|| format!("cannot make {}", unpacked.display()))?;
    let mut name = newest(shell, kernel)?;
    if name.is_none() {
        shell::step("apt-get update", shell.command("apt-get").args(["update", "-qq"]))?;
        name = newest(shell, kernel)?;
    }
    let name = name.with_context(|| format!("apt does not know {}", kernel.package))?;
    let mut download = shell.command("apt-get");
    download.current_dir(folder).args(["download", "-qq", &name]);
    shell::step(&format!("apt-get download {name}"), &mut download)?;
    let package = only(folder, ".deb")?;
    let mut unpack = shell.command("dpkg-deb");
    shell::step("unpack it", unpack.arg("-x").arg(&package).arg(&unpacked))?;
    let found = only(&unpacked.join("boot"), "")?;
    fs::rename(&found, &image).with_context(|| format!("cannot move {}", found.display()))?;
    fs::remove_file(&package)?;
    Ok(fs::remove_dir_all(&unpacked)?)
}

/// The package that the meta package stands for.
fn newest(shell: &Shell, kernel: Kernel) -> Result<Option<String>> {
    let output = shell.command("apt-cache").args(["depends", kernel.package]).output();
    let output = output.context("cannot start apt-cache")?;
    Ok(dependency(&String::from_utf8_lossy(&output.stdout)))
}

fn dependency(text: &str) -> Option<String> {
    let depends = text.lines().filter_map(|line| line.trim().strip_prefix("Depends:"));
    depends.map(str::trim).find(|name| name.starts_with(PREFIX)).map(str::to_owned)
}

/// The package, or among what it brings to /boot the kernel.
fn only(folder: &Path, ending: &str) -> Result<PathBuf> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("nothing in {}", folder.display()))?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.is_file()
            && name.ends_with(ending)
            && (!ending.is_empty() || name.starts_with("vmlinuz"))
    });
    match paths.next() {
        Some(path) => Ok(path),
        None => bail!("{} holds no kernel", folder.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_is_found_in_what_apt_says() {
        let text = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-1-cloud-amd64\n";
        assert_eq!(dependency(text).as_deref(), Some("linux-image-6.1.0-1-cloud-amd64"));
        assert_eq!(dependency("linux-image-cloud-amd64\n  Depends: libc6\n"), None);
        assert_eq!(dependency(""), None);
    }
}
