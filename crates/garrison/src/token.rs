//! `garrison token`: enrolment tokens from the command line of the server's machine.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::control::{Reply, Request};
use crate::{process, server};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Make a token that enrols machines; prints it once.
    Create {
        /// Group the machines join.
        #[arg(long, value_name = "GROUP", default_value = ::server::store::DEFAULT_GROUP)]
        group: String,
        /// How long it works: 30m, 1h, 7d.
        #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = span)]
        ttl: Duration,
        /// How many machines it enrols.
        #[arg(long, value_name = "N", default_value_t = 1)]
        uses: u32,
        #[arg(long, value_name = "DIR", default_value = "/var/lib/garrison/server")]
        data: PathBuf,
        /// Print the line to paste into the root shell of a machine instead.
        #[arg(long)]
        one_liner: bool,
    },
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args::Create { group, ttl, uses, data, one_liner } = args;
    let request = Request::CreateToken { group, ttl_s: ttl.as_secs(), uses };
    match server::command(&data, request)? {
        Reply::Token { token, one_liner: line, .. } => {
            process::say(if one_liner { &line } else { &token });
            Ok(ExitCode::SUCCESS)
        }
        other => bail!("the server answered something else: {other:?}"),
    }
}

/// A number with `s`, `m`, `h` or `d` behind it.
pub(crate) fn span(text: &str) -> anyhow::Result<Duration> {
    let unit = text.chars().last().context("a span is a number and s, m, h or d")?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => bail!("a span is a number and s, m, h or d, as in 1h"),
    };
    let number: u64 =
        text.trim_end_matches(unit).parse().context("a span is a number and s, m, h or d")?;
    Ok(Duration::from_secs(number.saturating_mul(factor)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        assert_eq!(span("90s").unwrap(), Duration::from_secs(90));
        assert_eq!(span("7d").unwrap(), Duration::from_hours(7 * 24));
        for wrong in ["", "h", "1", "1w", "-1h", "1.5h"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
