//! Python distributions: the `METADATA` or `PKG-INFO` beside an installed one (core metadata
//! specification of the Python packaging authority).

/// Longest beginning of a metadata file that is read: the fields stand before the description.
pub(super) const METADATA_BYTES_MAX: usize = 64 * 1024;

/// Name and version of a distribution, if both are there.
pub(super) fn parse(bytes: &[u8]) -> Option<(String, String)> {
    let (mut name, mut version) = (None, None);
    for line in bytes.split(|it| *it == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // The description follows the empty line.
        if line.is_empty() || (name.is_some() && version.is_some()) {
            break;
        }
        let text = |value: &[u8]| Some(String::from_utf8_lossy(value).trim().to_owned());
        if let Some(value) = line.strip_prefix(b"Name:") {
            name = name.or_else(|| text(value));
        } else if let Some(value) = line.strip_prefix(b"Version:") {
            version = version.or_else(|| text(value));
        }
    }
    name.filter(|it| !it.is_empty()).zip(version.filter(|it| !it.is_empty()))
}
