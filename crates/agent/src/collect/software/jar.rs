//! Java archives: `pom.properties` of Maven, else the manifest, else the file name; also of the
//! archives packed inside an application (`WEB-INF/lib`, `BOOT-INF/lib`).

use std::io::{Cursor, Read, Seek};

use model::because;
use model::because::Because;
use zip::ZipArchive;

use crate::collect::unreadable;

/// Most entries of one archive whose names are looked at.
const ENTRIES_MAX: usize = 100_000;
/// Longest manifest or `pom.properties`.
const TEXT_BYTES_MAX: u64 = 64 * 1024;
/// Largest archive inside an archive; it is held in memory.
const INNER_BYTES_MAX: u64 = 24 * 1024 * 1024;
/// Most archives inside one archive.
const INNER_MAX: usize = 1_000;
/// Most bytes unpacked from one archive in all.
const UNPACKED_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// One library found in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Library {
    /// `group:artifact` where Maven's properties name the group.
    pub(super) name: String,
    pub(super) version: String,
    /// Path of the inner archive; empty for the archive itself.
    pub(super) inside: String,
}

/// The libraries of an archive called `file_name`, and what was skipped.
pub(super) fn read<R: Read + Seek>(file_name: &str, reader: R) -> (Vec<Library>, Vec<Because>) {
    let mut reading =
        Reading { libraries: Vec::new(), skipped: Vec::new(), left: UNPACKED_BYTES_MAX };
    reading.archive(file_name, "", reader, true);
    (reading.libraries, reading.skipped)
}

struct Reading {
    libraries: Vec<Library>,
    skipped: Vec<Because>,
    /// Bytes that may still be unpacked.
    left: u64,
}

impl Reading {
    fn archive<R: Read + Seek>(&mut self, file_name: &str, inside: &str, reader: R, outer: bool) {
        let mut archive = match ZipArchive::new(reader) {
            Ok(archive) => archive,
            Err(error) => {
                let why =
                    because!("archive.unreadable", "no readable archive: {cause}", cause = error);
                self.skip(inside, why);
                return;
            }
        };
        if archive.len() > ENTRIES_MAX {
            self.skip(
                inside,
                because!("skip.entries", "more than {max} entries", max = ENTRIES_MAX),
            );
            return;
        }
        let (mut poms, mut inner, mut manifest) = (Vec::new(), Vec::new(), None);
        for name in archive.file_names().filter_map(Result::ok) {
            let is_pom = name.starts_with("META-INF/maven/") && name.ends_with("/pom.properties");
            if is_pom {
                poms.push(name.into_owned());
            } else if name == "META-INF/MANIFEST.MF" {
                manifest = Some(name.into_owned());
            } else if outer && is_archive(&name) {
                inner.push(name.into_owned());
            }
        }
        // The order of the central directory is not the same for the same content.
        poms.sort();
        inner.sort();
        let before = self.libraries.len();
        for pom in poms {
            let text = self.unpack(&mut archive, &pom, TEXT_BYTES_MAX, inside);
            let found = text.and_then(|it| pom_library(&it));
            self.libraries.extend(found.map(|it| Library { inside: inside.to_owned(), ..it }));
        }
        if self.libraries.len() == before {
            let text =
                manifest.and_then(|it| self.unpack(&mut archive, &it, TEXT_BYTES_MAX, inside));
            let found = text
                .and_then(|it| manifest_library(&it, file_name))
                .or_else(|| name_library(file_name));
            self.libraries.extend(found.map(|it| Library { inside: inside.to_owned(), ..it }));
        }
        if let Some(more) = inner.len().checked_sub(INNER_MAX).filter(|it| *it > 0) {
            let why = because!(
                "archive.inner",
                "inner archives over the limit of {max}: {more}",
                more = more,
                max = INNER_MAX
            );
            self.skip(inside, why);
        }
        for name in inner.into_iter().take(INNER_MAX) {
            if let Some(bytes) = self.unpack(&mut archive, &name, INNER_BYTES_MAX, "") {
                let short = name.rsplit('/').next().unwrap_or(&name);
                self.archive(short, &name, Cursor::new(bytes), false);
            }
        }
    }

    fn skip(&mut self, inside: &str, why: Because) {
        self.skipped.push(if inside.is_empty() { why } else { why.at(inside) });
    }

    fn unpack<R: Read + Seek>(
        &mut self,
        archive: &mut ZipArchive<R>,
        name: &str,
        max: u64,
        inside: &str,
    ) -> Option<Vec<u8>> {
        let max = max.min(self.left);
        let mut bytes = Vec::new();
        let outcome = archive.by_name(name).map_err(|it| it.to_string()).and_then(|entry| {
            entry.take(max + 1).read_to_end(&mut bytes).map_err(|it| it.to_string())
        });
        self.left = self.left.saturating_sub(bytes.len() as u64);
        match outcome {
            Ok(_) if bytes.len() as u64 <= max => Some(bytes),
            Ok(_) => {
                self.skip(inside, too_large(max).at(name));
                None
            }
            Err(error) => {
                self.skip(inside, unreadable(&error).at(name));
                None
            }
        }
    }
}

pub(super) fn too_large(max: u64) -> Because {
    because!("archive.large", "larger than {max} bytes", max = max)
}

/// A name that ends as Java archives do.
pub(super) fn is_archive(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, it)| it);
    ending
        .is_some_and(|it| ["jar", "war", "ear"].iter().any(|known| it.eq_ignore_ascii_case(known)))
}

fn pom_library(bytes: &[u8]) -> Option<Library> {
    let text = String::from_utf8_lossy(bytes);
    let field = |name: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == name && !value.trim().is_empty()).then(|| value.trim().to_owned())
        })
    };
    let name = format!("{}:{}", field("groupId")?, field("artifactId")?);
    Some(Library { name, version: field("version")?, inside: String::new() })
}

/// Manifest lines are cut at 72 bytes and go on after a space.
fn manifest_library(bytes: &[u8], file_name: &str) -> Option<Library> {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace("\n ", "");
    // The first section is about the archive; the others are about its files.
    let main = text.split("\n\n").next()?;
    let field = |names: &[&str]| {
        names.iter().find_map(|name| {
            main.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                (key.eq_ignore_ascii_case(name) && !value.trim().is_empty())
                    .then(|| value.trim().to_owned())
            })
        })
    };
    let version = field(&["Implementation-Version", "Bundle-Version", "Specification-Version"])?;
    let stem = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
    let name = name_library(file_name)
        .map(|it| it.name)
        .or_else(|| field(&["Bundle-SymbolicName", "Implementation-Title"]))
        .unwrap_or_else(|| stem.to_owned());
    let name = name.split(';').next().unwrap_or(&name).to_owned();
    Some(Library { name, version, inside: String::new() })
}

/// `log4j-core-2.14.1.jar`: the version begins at the first part that begins with a digit.
fn name_library(file_name: &str) -> Option<Library> {
    let (stem, _) = file_name.rsplit_once('.')?;
    let (at, _) = stem.match_indices('-').find(|(at, _)| {
        stem.get(at + 1..).is_some_and(|it| it.starts_with(|it: char| it.is_ascii_digit()))
    })?;
    let (name, version) = (stem.get(..at)?, stem.get(at + 1..)?);
    let library =
        Library { name: name.to_owned(), version: version.to_owned(), inside: String::new() };
    (!name.is_empty()).then_some(library)
}
