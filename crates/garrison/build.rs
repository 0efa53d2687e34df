//! Puts the built console and the country database into the binary.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

const PAGES: &str = "../../console/dist";
const COUNTRIES: &str = "../../console/node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb";
/// Built by `cargo xtask setup`, which every `make` target runs first.
const HOW: &str = "run `make run`, `make test` or `cargo xtask setup` once";

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let pages = manifest.join(PAGES);
    let countries = manifest.join(COUNTRIES);
    println!("cargo::rerun-if-changed={}", pages.display());
    println!("cargo::rerun-if-changed={}", countries.display());
    for needed in [pages.join("index.html"), countries.clone()] {
        if !needed.is_file() {
            println!("cargo::error={} is missing: {HOW}", needed.display());
            return Ok(());
        }
    }
    let mut table = String::from("[\n");
    for file in files(&pages)? {
        page(&mut table, &pages, &file, &out)?;
    }
    table.push_str("]\n");
    fs::write(out.join("pages.rs"), table)?;
    fs::write(
        out.join("countries.rs"),
        format!("include_bytes!({})\n", literal(&countries.canonicalize()?)?),
    )?;
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            out.extend(files(&path)?);
        } else {
            out.push(path);
        }
    }
    out.sort();
    Ok(out)
}

/// One line of the table: the file as it is, and compressed if that pays.
fn page(table: &mut String, pages: &Path, file: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let bytes = fs::read(file)?;
    let path = file.strip_prefix(pages)?.display().to_string();
    let mime = mime(file)?;
    let etag = blake3::hash(&bytes).to_hex().chars().take(32).collect::<String>();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&bytes)?;
    let packed = encoder.finish()?;
    let gzip = if packed.len() * 10 < bytes.len() * 9 {
        let place = out.join(format!("{}.gz", path.replace('/', "_")));
        fs::write(&place, packed)?;
        format!("Some(include_bytes!({}))", literal(&place)?)
    } else {
        "None".to_owned()
    };
    writeln!(
        table,
        "server::console::Asset {{ path: {path:?}, bytes: include_bytes!({}), gzip: {gzip}, \
         etag: {etag:?}, mime: {mime:?} }},",
        literal(&file.canonicalize()?)?
    )?;
    Ok(())
}

/// The path as a string literal of Rust.
fn literal(path: &Path) -> Result<String, Box<dyn Error>> {
    let text = path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()))?;
    Ok(format!("{text:?}"))
}

/// Media type by the ending of the name; an unknown ending is an error, not a guess.
fn mime(file: &Path) -> Result<&'static str, Box<dyn Error>> {
    Ok(match file.extension().and_then(|it| it.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("json") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => return Err(format!("{} has no known media type", file.display()).into()),
    })
}
