//! Prints the names of the targets; with a folder, also writes each target's seeds to `FOLDER/<target>/`.

use std::{env, fs, io::Write as _, path::PathBuf};

use anyhow::Context as _;
use fuzz::{TARGETS, seeds};

fn main() -> anyhow::Result<()> {
    let folder = env::args_os().nth(1).map(PathBuf::from);
    for target in TARGETS {
        writeln!(std::io::stdout(), "{}", target.name)?;
        let Some(folder) = &folder else { continue };
        let folder = folder.join(target.name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for (number, seed) in seeds::of(target).iter().enumerate() {
            let copy = folder.join(format!("seed-{number}"));
            fs::copy(seed, &copy).with_context(|| format!("cannot copy {}", seed.display()))?;
        }
    }
    Ok(())
}
