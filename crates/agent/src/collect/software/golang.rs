//! The modules a Go program was built from, read from its ELF file.
//!
//! Format: `debug/buildinfo` of Go: a section `.go.buildinfo` with a 32-byte header, followed
//! since Go 1.18 by two strings with their length as a varint: the version of Go and the module
//! list, which is wrapped in two 16-byte marks.

use std::io;

const MAGIC: &[u8] = b"\xff Go buildinf:";
const HEADER_BYTES: usize = 32;
/// Bit of the header's flags: the strings follow in place.
const FLAG_INLINE: u8 = 2;
const MARK_BYTES: usize = 16;
/// Longest module list.
const INFO_BYTES_MAX: usize = 4 * 1024 * 1024;
const SECTIONS_MAX: usize = 4_096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Module {
    pub(super) name: String,
    pub(super) version: String,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum GoError {
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("broken ELF file: {0}")]
    Elf(&'static str),
    #[error("built by Go before 1.18, whose module list is not read")]
    Old,
    #[error("broken module list")]
    Info,
}

/// Fills the buffer from an offset of the file, or fails.
pub(super) type ReadAt<'a> = &'a dyn Fn(u64, &mut [u8]) -> io::Result<()>;

/// The modules of a Go program, its own first, then Go itself; `None` for other programs.
pub(super) fn read(read_at: ReadAt<'_>) -> Result<Option<Vec<Module>>, GoError> {
    let mut head = [0; 64];
    if read_at(0, &mut head).is_err() || !head.starts_with(b"\x7fELF\x02\x01") {
        // Nothing but 64-bit little-endian: the machines the agent itself runs on.
        return Ok(None);
    }
    let Some((offset, size)) = build_info_section(&head, read_at)? else { return Ok(None) };
    let size = usize::try_from(size).unwrap_or(usize::MAX).min(INFO_BYTES_MAX);
    let mut bytes = vec![0; size];
    read_at(offset, &mut bytes)?;
    parse(&bytes).map(Some)
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let slice = bytes.get(at..at + length).unwrap_or_default();
    slice.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

/// Offset and size in the file.
fn build_info_section(head: &[u8], read_at: ReadAt<'_>) -> Result<Option<(u64, u64)>, GoError> {
    let table = number(head, 40, 8);
    let (entry, count) = (number(head, 58, 2) as usize, number(head, 60, 2) as usize);
    let names_index = number(head, 62, 2) as usize;
    if table == 0 || count == 0 {
        return Ok(None);
    }
    if entry < 64 || count > SECTIONS_MAX || names_index >= count {
        return Err(GoError::Elf("impossible section table"));
    }
    let mut sections = vec![0; entry * count];
    read_at(table, &mut sections)?;
    let place = |section: &[u8]| (number(section, 24, 8), number(section, 32, 8));
    let names = sections.chunks_exact(entry).nth(names_index).map(place);
    let (names_at, names_size) = names.unwrap_or_default();
    let names_size = usize::try_from(names_size).unwrap_or(usize::MAX).min(1 << 20);
    let mut names = vec![0; names_size];
    read_at(names_at, &mut names)?;
    Ok(sections
        .chunks_exact(entry)
        .find(|section| {
            let name = names.get(number(section, 0, 4) as usize..).unwrap_or_default();
            name.starts_with(b".go.buildinfo\0")
        })
        .map(place))
}

/// Reads the content of the section.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Module>, GoError> {
    if !bytes.starts_with(MAGIC) {
        return Err(GoError::Info);
    }
    if bytes.get(15).is_none_or(|flags| flags & FLAG_INLINE == 0) {
        return Err(GoError::Old);
    }
    let rest = bytes.get(HEADER_BYTES..).ok_or(GoError::Info)?;
    let (version, rest) = string(rest).ok_or(GoError::Info)?;
    let (info, _) = string(rest).ok_or(GoError::Info)?;
    let text = info
        .get(MARK_BYTES..info.len().saturating_sub(MARK_BYTES))
        .map(String::from_utf8_lossy)
        .unwrap_or_default();
    let mut modules: Vec<Module> = Vec::new();
    for line in text.lines() {
        let mut fields = line.split('\t');
        let (Some(kind), Some(name), Some(version)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let module = Module { name: name.to_owned(), version: version.to_owned() };
        match kind {
            "mod" | "dep" => modules.push(module),
            // The line before was replaced by this one.
            "=>" => {
                modules.pop();
                modules.push(module);
            }
            _ => {}
        }
    }
    let version = String::from_utf8_lossy(version);
    let version = version.split(' ').next().unwrap_or_default().trim_start_matches("go");
    modules.push(Module { name: "stdlib".to_owned(), version: version.to_owned() });
    Ok(modules)
}

/// A varint length and that many bytes; returns them and what follows.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0_u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        length |= u64::from(byte & 0x7f).checked_shl(7 * index as u32)?;
        if byte & 0x80 == 0 {
            let length = usize::try_from(length).ok()?;
            return bytes.get(index + 1..)?.split_at_checked(length);
        }
    }
    None
}
