//! Where things lie, and how other programs are run: each one named, timed and checked.

use std::{
    env,
    ffi::OsStr,
    io::{self, BufRead, BufReader, IsTerminal, Read, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Error, Result, bail};

/// How much of a failed program's output is shown, in lines.
const FAILURE_LINES_MAX: usize = 60;
/// Of what a command says, shown behind its title: a line of a narrow terminal holds both.
const PROGRESS_CHARS_MAX: usize = 50;

/// The places xtask works with.
#[derive(Debug)]
pub(crate) struct Shell {
    /// The repository.
    pub(crate) root: PathBuf,
    /// The build folder cargo is using.
    pub(crate) target: PathBuf,
    /// What outlives a clone: the Python tools, CI's build folder.
    pub(crate) cache: PathBuf,
}

/// What a program said, when somebody wants to read it.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) success: bool,
    /// Standard output and error in the order they came, without colour codes.
    pub(crate) text: String,
}

impl Shell {
    pub(crate) fn new() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .context("xtask lies in crates/xtask")?;
        // The running program lies in <target>/<profile>/xtask, whichever way the build folder was chosen.
        let own = env::current_exe().context("cannot find the running program")?;
        let target = own.ancestors().nth(2).context("xtask was not started by cargo")?;
        let home = env::var_os("HOME").context("HOME is not set")?;
        Ok(Self {
            root: root.to_owned(),
            target: target.to_owned(),
            cache: Path::new(&home).join(".cache/garrison"),
        })
    }

    /// A program of the Python environment, as set up by [`crate::setup`].
    pub(crate) fn python_tool(&self, name: &str) -> PathBuf {
        self.cache.join("venv/bin").join(name)
    }

    pub(crate) fn console(&self) -> PathBuf {
        self.root.join("console")
    }

    /// A command that starts in the repository and builds into the same folder as this program.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        // Variables that cargo sets for xtask itself would make the inner cargo rebuild what has not changed.
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_")
                || name.starts_with("CARGO_MANIFEST_")
                || name.starts_with("CARGO_BIN_")
            {
                command.env_remove(&*name);
            }
        }
        command
    }
}

/// Runs quietly behind one line that says what and how long; the output is shown only on failure.
pub(crate) fn step(title: &str, command: &mut Command) -> Result<()> {
    let watching = io::stdout().is_terminal();
    print!("  {title} …{}", if watching { "" } else { "\n" });
    io::stdout().flush()?;
    let start = Instant::now();
    let output = capture(command, |line| {
        if !watching {
            return Ok(());
        }
        // What it is at, on the one line that its time takes the place of.
        let line = without_colours(&String::from_utf8_lossy(line));
        let line: String = line.trim().chars().take(PROGRESS_CHARS_MAX).collect();
        print!("\r\x1b[K  {title} … {line}");
        io::stdout().flush()
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let before = if watching { "\r\x1b[K" } else { "" };
    if output.success {
        println!("{before}  {title}: {seconds:.1} s");
        return Ok(());
    }
    println!("{before}  {title}: failed after {seconds:.1} s");
    let lines: Vec<&str> = output.text.lines().collect();
    for line in lines.iter().skip(lines.len().saturating_sub(FAILURE_LINES_MAX)) {
        println!("    {line}");
    }
    bail!("{title} failed")
}

/// Runs with the output going to the terminal as it comes, and returns it too.
pub(crate) fn show(title: &str, command: &mut Command) -> Result<Output> {
    println!("\n── {title}");
    let start = Instant::now();
    let output = capture(command, |line| io::stdout().write_all(line))?;
    println!(
        "── {title}: {} in {:.1} s",
        if output.success { "ok" } else { "FAILED" },
        start.elapsed().as_secs_f64()
    );
    Ok(output)
}

/// Runs quietly beside others, then says under its title all that it said.
pub(crate) fn hear(title: &str, command: &mut Command) -> Result<Output> {
    let start = Instant::now();
    let output = capture(command, |_| Ok(()))?;
    let how = if output.success { "ok" } else { "FAILED" };
    let seconds = start.elapsed().as_secs_f64();
    println!("\n── {title}\n{}── {title}: {how} in {seconds:.1} s", output.text);
    Ok(output)
}

/// Replaces xtask by the program; returns only when that failed.
pub(crate) fn replace_with(command: &mut Command) -> Error {
    let error = command.exec();
    Error::new(error).context(format!("cannot start {}", command.get_program().to_string_lossy()))
}

/// Where a program lies, looking also where only root's PATH looks.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(system)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Runs a program without input; `each_line` sees the lines of both its outputs as they come.
fn capture(
    command: &mut Command,
    mut each_line: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    // The command holds the writing ends; the reader sees the end only once they are closed here too.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let mut raw = Vec::new();
    let mut lines = BufReader::new(reader);
    loop {
        let start = raw.len();
        if lines.by_ref().read_until(b'\n', &mut raw)? == 0 {
            break;
        }
        each_line(raw.get(start..).unwrap_or_default())?;
    }
    let status = child.wait().with_context(|| format!("cannot wait for {name}"))?;
    Ok(Output { success: status.success(), text: without_colours(&String::from_utf8_lossy(&raw)) })
}

/// Removes the terminal's control sequences (`ESC [ … letter`).
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(char) = rest.next() {
        if char != '\x1b' {
            plain.push(char);
        } else if rest.next() == Some('[') {
            rest.by_ref().find(char::is_ascii_alphabetic);
        }
    }
    plain
}

#[cfg(test)]
mod tests;
