//! Prints the names of the targets; with a folder, also writes each target's seed to `FOLDER/<target>/seed`.

use std::{env, fs, io::Write as _, path::PathBuf};

use anyhow::Context as _;
use fuzz::TARGETS;

fn main() -> anyhow::Result<()> {
    let folder = env::args_os().nth(1).map(PathBuf::from);
    for target in TARGETS {
        writeln!(std::io::stdout(), "{}", target.name)?;
        let Some(folder) = &folder else { continue };
        let folder = folder.join(target.name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::write(folder.join("seed"), target.seed)
            .with_context(|| format!("cannot write to {}", folder.display()))?;
    }
    Ok(())
}
