//! schemathesis against a live server: no request may get a 5xx or an answer its own description does not allow.

use std::path::Path;

use anyhow::{Result, bail};

use crate::shell::{Output, Shell};

pub(crate) fn run(_shell: &Shell, binary: &Path) -> Result<Output> {
    bail!("{} has no API yet", binary.display())
}
