//! `/var/lib/dpkg/status`: paragraphs of `Field: value`, continued by lines that begin with a
//! space (deb-control(5)).

pub(super) const STATUS: &str = "/var/lib/dpkg/status";
/// Where packages of minimal images without dpkg leave their paragraph.
pub(super) const STATUS_PARTS: &str = "/var/lib/dpkg/status.d";
pub(super) const STATUS_BYTES_MAX: usize = 256 * 1024 * 1024;
pub(super) const STATUS_PARTS_MAX: usize = 5_000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DpkgPackage {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) arch: Option<String>,
    /// Source package, where its name differs.
    pub(super) source: Option<String>,
    /// Its files are recorded as `name:arch.list`.
    pub(super) same_arch_twice: bool,
}

impl DpkgPackage {
    /// The file whose time of change is the time of the last installation.
    pub(super) fn list_path(&self) -> String {
        match &self.arch {
            Some(arch) if self.same_arch_twice => {
                format!("/var/lib/dpkg/info/{}:{arch}.list", self.name)
            }
            _ => format!("/var/lib/dpkg/info/{}.list", self.name),
        }
    }
}

/// The installed packages, and the lines where one begins that has no name or version. `needs_status`: paragraphs say whether the
/// package is installed, and those that do not are left out.
pub(super) fn parse(bytes: &[u8], needs_status: bool) -> (Vec<DpkgPackage>, Vec<usize>) {
    let (mut packages, mut skipped) = (Vec::new(), Vec::new());
    let mut current = DpkgPackage::default();
    let mut installed = !needs_status;
    let mut begun_at = 1;
    // One empty line more closes the last paragraph.
    for (index, line) in bytes.split(|it| *it == b'\n').chain([&b""[..]]).enumerate() {
        if line.is_empty() {
            let done = std::mem::take(&mut current);
            if done.name.is_empty() || done.version.is_empty() {
                if installed && done != DpkgPackage::default() {
                    skipped.push(begun_at);
                }
            } else if installed {
                packages.push(done);
            }
            installed = !needs_status;
            begun_at = index + 2;
            continue;
        }
        let Some(colon) = line.iter().position(|it| *it == b':') else { continue };
        let (field, value) = line.split_at(colon);
        let text = || String::from_utf8_lossy(value.get(1..).unwrap_or_default()).trim().to_owned();
        match field {
            b"Package" => current.name = text(),
            b"Version" => current.version = text(),
            b"Architecture" => current.arch = Some(text()),
            // `Source: name (version)` where the version differs too.
            b"Source" => current.source = text().split(' ').next().map(str::to_owned),
            b"Multi-Arch" => current.same_arch_twice = text() == "same",
            // The third word is the state: `install ok installed`.
            b"Status" => installed = text().ends_with(" installed"),
            _ => {}
        }
    }
    (packages, skipped)
}
