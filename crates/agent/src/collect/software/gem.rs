//! Ruby gems: the `name.gemspec` that RubyGems writes at installation.

pub(super) const GEMSPEC_BYTES_MAX: usize = 256 * 1024;

/// Name and version of a specification as `Gem::Specification#to_ruby` writes it:
/// `s.name = "rake".freeze`.
pub(super) fn parse(bytes: &[u8]) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(bytes);
    let field = |name: &str| {
        text.lines().find_map(|line| {
            let rest = line.trim_start().strip_prefix("s.")?.strip_prefix(name)?.trim_start();
            let rest = rest.strip_prefix('=')?;
            let mut parts = rest.split(['"', '\'']);
            parts.next()?;
            parts.next().filter(|it| !it.is_empty()).map(str::to_owned)
        })
    };
    field("name").zip(field("version"))
}
