//! npm packages: the `package.json` of each directory below a `node_modules`.

use serde::Deserialize;

/// Largest `package.json` read.
pub(super) const PACKAGE_JSON_BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug, Deserialize)]
struct PackageJson {
    name: Option<String>,
    version: Option<String>,
}

/// Name and version; `Ok(None)` for files that describe no package (`{"type": "module"}`).
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(String, String)>, serde_json::Error> {
    let json: PackageJson = serde_json::from_slice(bytes)?;
    Ok(json.name.filter(|it| !it.is_empty()).zip(json.version.filter(|it| !it.is_empty())))
}
