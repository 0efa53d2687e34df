//! `garrison ctl`: what the console does, from a terminal, over the same API.
//!
//! It shows an API token, which is read from a file or the environment: what stands in an
//! argument can be read by every user of the machine.

mod client;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};

use crate::process;
use client::Client;
use table::{Column, Style};

/// Something of what was asked for was refused.
const EXIT_REFUSED: u8 = 1;

/// Shown by `--help`.
const EXIT_CODES: &str = "Exit codes:
  0  done
  1  some of it was refused: the column REFUSED says why
  2  not done: wrong words, no server, a token that may not; standard error says why";

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The console's address: `http://` on this machine, also through an SSH tunnel.
    #[arg(long, global = true, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    server: String,
    /// File with the API token; else the environment variable GARRISON_TOKEN.
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The answer of the API as it is, instead of a table.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Alarms and other findings.
    #[command(subcommand)]
    Alarms(Alarms),
    /// Files that agents took away.
    #[command(subcommand)]
    Isolated(Isolated),
    /// Addresses that servers refuse.
    #[command(subcommand)]
    Blocked(Blocked),
    /// What nobody wants to hear of.
    #[command(subcommand)]
    Whitelist(Whitelist),
    /// Protected servers.
    #[command(subcommand)]
    Hosts(Hosts),
}

#[derive(Debug, clap::Subcommand)]
enum Alarms {
    /// Latest first.
    List {
        /// unhandled, handled, resolved; all with `any`.
        #[arg(long, default_value = "unhandled")]
        status: String,
        #[arg(long)]
        severity: Option<String>,
        /// alarm, vulnerability, unsafe_setting, asset_risk.
        #[arg(long, default_value = "alarm")]
        kind: String,
        #[arg(long, value_name = "ID")]
        host: Option<String>,
        #[arg(long, value_name = "ID")]
        rule: Option<String>,
        /// ATT&CK technique.
        #[arg(long)]
        technique: Option<String>,
        /// Words of the subject or the parameters.
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        #[arg(long, default_value_t = LIMIT, value_parser = limits())]
        limit: u32,
    },
    /// One with its proof.
    Show { id: String },
    /// Decide about some.
    Handle {
        #[arg(required = true)]
        ids: Vec<String>,
        /// ignore, mark_handled, isolate_and_kill, block_ip, login_whitelist, alarm_whitelist.
        #[arg(long)]
        action: String,
        #[arg(long, default_value = "")]
        remark: String,
        /// Only say what it would do.
        #[arg(long)]
        plan: bool,
        /// The warnings of the plan were read.
        #[arg(long)]
        confirm: bool,
    },
    /// Take decisions back, and with them what agents did.
    Undo {
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

#[derive(Debug, clap::Subcommand)]
enum Isolated {
    /// Newest first.
    List {
        /// isolated, restored, discarded.
        #[arg(long)]
        state: Option<String>,
        #[arg(long, value_name = "ID")]
        host: Option<String>,
        #[arg(long)]
        sha256: Option<String>,
        /// Part of the path.
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        #[arg(long, default_value_t = LIMIT, value_parser = limits())]
        limit: u32,
    },
    /// Put files back as they were.
    Restore {
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Delete files for good.
    Discard {
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

#[derive(Debug, clap::Subcommand)]
enum Blocked {
    /// Newest first.
    List {
        /// active, expired, removed.
        #[arg(long)]
        state: Option<String>,
        #[arg(long, value_name = "ID")]
        host: Option<String>,
        #[arg(long)]
        address: Option<String>,
        #[arg(long, default_value_t = LIMIT, value_parser = limits())]
        limit: u32,
    },
    /// Refuse addresses for a while.
    Add {
        #[arg(required = true)]
        addresses: Vec<String>,
        #[arg(long, value_name = "ID")]
        host: Vec<String>,
        /// All servers of a group.
        #[arg(long, value_name = "ID")]
        group: Option<String>,
        /// How long: 1m to 30d; as the policy says when absent.
        #[arg(long, value_name = "SPAN", value_parser = crate::token::span)]
        r#for: Option<std::time::Duration>,
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Let addresses in again.
    Remove {
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

#[derive(Debug, clap::Subcommand)]
enum Whitelist {
    List {
        /// alarm, login.
        #[arg(long)]
        kind: Option<String>,
        /// active, expired, removed.
        #[arg(long, default_value = "active")]
        state: String,
    },
    /// Keep alarms quiet where a value matches.
    Add {
        /// The rule; every rule when absent.
        #[arg(long, default_value = "")]
        rule: String,
        /// A parameter of the alarm, or `subject`.
        #[arg(long)]
        field: String,
        /// equals, contains, cidr.
        #[arg(long, default_value = "equals")]
        judge: String,
        #[arg(long)]
        value: String,
        #[arg(long, default_value = "")]
        remark: String,
        /// Only say what it would have silenced in 30 days.
        #[arg(long)]
        dry_run: bool,
        /// The warnings were read.
        #[arg(long)]
        confirm: bool,
    },
    /// Remove entries; they can be put back in the console.
    Remove {
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

#[derive(Debug, clap::Subcommand)]
enum Hosts {
    /// By risk.
    List {
        /// Part of a name, an address or the operating system.
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        #[arg(long, default_value_t = LIMIT, value_parser = limits())]
        limit: u32,
    },
}

/// Items of a list when nobody says how many.
const LIMIT: u32 = 50;

/// As many items as the API gives at once.
fn limits() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=200)
}

/// What one call came to.
struct Outcome {
    answer: Value,
    /// As a person reads it.
    text: String,
    refused: bool,
}

impl Outcome {
    /// `none` says that nothing is listed.
    fn list(answer: Value, columns: &[Column], none: &str) -> Self {
        let mut text = table::of(items(&answer), columns, none, Style::of_environment());
        if answer.get("next").is_some_and(|it| !it.is_null()) {
            text.push_str("… and more: raise --limit, or narrow the list\n");
        }
        Self { answer, text, refused: false }
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let token = token(args.token_file.as_deref())?;
    let client = Client::new(&args.server, token)?;
    let outcome = match args.command {
        Command::Alarms(it) => alarms(&client, it)?,
        Command::Isolated(it) => isolated(&client, it)?,
        Command::Blocked(it) => blocked(&client, it)?,
        Command::Whitelist(it) => whitelist(&client, it)?,
        Command::Hosts(Hosts::List { search, limit }) => {
            let answer =
                client.get("/hosts", &[("q", search), ("limit", Some(limit.to_string()))])?;
            Outcome::list(answer, HOSTS, "no servers")
        }
    };
    if args.json {
        process::say(&outcome.answer.to_string());
    } else {
        process::say(outcome.text.trim_end());
    }
    Ok(if outcome.refused { ExitCode::from(EXIT_REFUSED) } else { ExitCode::SUCCESS })
}

/// Longest token file that is read.
const TOKEN_BYTES_MAX: usize = 4096;

fn token(file: Option<&std::path::Path>) -> anyhow::Result<String> {
    let text = match file {
        Some(file) => std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the API token in {}", file.display()))?,
        None => std::env::var("GARRISON_TOKEN").ok().context(
            "there is no API token: make one in the console under Settings, then name its file \
             with --token-file or put it into GARRISON_TOKEN",
        )?,
    };
    let token = text.trim();
    let is_token = token.len() <= TOKEN_BYTES_MAX && token.bytes().all(|it| it.is_ascii_graphic());
    if !is_token || !token.starts_with("gat_") {
        bail!("what was given as API token is none: tokens start with gat_");
    }
    Ok(token.to_owned())
}

fn items(answer: &Value) -> &[Value] {
    answer.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

const ALARMS: &[Column] = &[
    Column::new("ID", "/id"),
    Column::new("SEVERITY", "/severity"),
    Column::new("HOST", "/host/name"),
    Column::new("RULE", "/rule"),
    Column::new("COUNT", "/count"),
    Column::new("LAST", "/last_at"),
    Column::new("STATUS", "/status"),
    Column::wide("WHAT", "/sentence"),
];
const HOSTS: &[Column] = &[
    Column::new("ID", "/id"),
    Column::new("NAME", "/name"),
    Column::new("GROUP", "/group/name"),
    Column::new("CONNECTION", "/connection"),
    Column::new("PROTECTION", "/protection"),
    Column::new("ALARMS", "/counts/alarm"),
    Column::new("RISK", "/risk"),
];
const ISOLATED: &[Column] = &[
    Column::new("ID", "/id"),
    Column::new("STATE", "/state"),
    Column::new("HOST", "/host/name"),
    Column::wide("PATH", "/path"),
    Column::new("SIZE", "/size_bytes"),
    Column::new("SINCE", "/isolated_at"),
    Column::new("BY", "/by"),
    Column::new("PENDING", "/pending/action"),
];
const BLOCKED: &[Column] = &[
    Column::new("ID", "/id"),
    Column::new("STATE", "/state"),
    Column::new("HOST", "/host/name"),
    Column::new("ADDRESS", "/address"),
    Column::new("PACKETS", "/packets"),
    Column::new("UNTIL", "/until_at"),
    Column::new("BY", "/by"),
    Column::wide("REASON", "/reason"),
];
const WHITELIST: &[Column] = &[
    Column::new("ID", "/id"),
    Column::new("KIND", "/kind"),
    Column::new("RULE", "/rule"),
    Column::new("FIELD", "/field"),
    Column::new("JUDGE", "/judge"),
    Column::wide("VALUE", "/value"),
    Column::new("HOST", "/host/name"),
    Column::new("ADDRESS", "/address"),
    Column::new("USER", "/user"),
    Column::new("HITS", "/hits"),
    Column::new("OWNER", "/owner"),
    Column::new("UNTIL", "/expires_at"),
    Column::wide("REMARK", "/remark"),
];
const OUTCOMES: &[Column] = &[
    Column::new("ID", "/id"),
    Column::new("STATUS", "/status"),
    Column::wide("REFUSED", "/refused"),
];
const ASKED: &[Column] = &[
    Column::new("ID", "/id"),
    Column::new("RESPONSE", "/response/id"),
    Column::new("STATE", "/response/state"),
    Column::wide("WHAT", "/response/subject"),
    Column::wide("REFUSED", "/refused"),
];

/// A list of things of which some may have been refused.
fn some_refused(answer: Value, columns: &[Column]) -> Outcome {
    let refused = items(&answer).iter().any(|it| it.get("refused").is_some_and(|it| !it.is_null()));
    Outcome { refused, ..Outcome::list(answer, columns, "nothing was done") }
}

fn alarms(client: &Client, command: Alarms) -> anyhow::Result<Outcome> {
    match command {
        Alarms::List { status, severity, kind, host, rule, technique, search, limit } => {
            let status = Some(status).filter(|it| it != "any");
            let kind = Some(kind).filter(|it| it != "any");
            let query = [
                ("status", status),
                ("severity", severity),
                ("kind", kind),
                ("host", host),
                ("rule", rule),
                ("technique", technique),
                ("q", search),
                ("limit", Some(limit.to_string())),
            ];
            Ok(Outcome::list(client.get("/findings", &query)?, ALARMS, "no alarm matches"))
        }
        Alarms::Show { id } => {
            let answer = client.get(&format!("/findings/{}", segment(&id)?), &[])?;
            let text = table::alarm(&answer, Style::of_environment());
            Ok(Outcome { answer, text, refused: false })
        }
        Alarms::Handle { ids, action, plan: true, .. } => {
            let body = json!({ "ids": ids, "action": action });
            let answer = client.send("POST", "/findings/plan", &body)?;
            let text = table::plan(&answer, Style::of_environment());
            Ok(Outcome { answer, text, refused: false })
        }
        Alarms::Handle { ids, action, remark, plan: false, confirm } => {
            let options = json!({ "confirm": confirm });
            let body =
                json!({ "ids": ids, "action": action, "remark": remark, "options": options });
            let answer = client.send("POST", "/findings/handle", &body)?;
            Ok(some_refused(answer, OUTCOMES))
        }
        Alarms::Undo { ids } => {
            let answer = client.send("POST", "/findings/unhandle", &json!({ "ids": ids }))?;
            Ok(some_refused(answer, OUTCOMES))
        }
    }
}

fn isolated(client: &Client, command: Isolated) -> anyhow::Result<Outcome> {
    let moved = |path: &str, ids: Vec<String>| {
        Ok(some_refused(client.send("POST", path, &json!({ "ids": ids }))?, ASKED))
    };
    match command {
        Isolated::List { state, host, sha256, search, limit } => {
            let query = [
                ("state", state),
                ("host", host),
                ("sha256", sha256),
                ("q", search),
                ("limit", Some(limit.to_string())),
            ];
            let answer = client.get("/isolated-files", &query)?;
            Ok(Outcome::list(answer, ISOLATED, "no isolated file matches"))
        }
        Isolated::Restore { ids } => moved("/isolated-files/restore", ids),
        Isolated::Discard { ids } => moved("/isolated-files/discard", ids),
    }
}

fn blocked(client: &Client, command: Blocked) -> anyhow::Result<Outcome> {
    match command {
        Blocked::List { state, host, address, limit } => {
            let query = [
                ("state", state),
                ("host", host),
                ("address", address),
                ("limit", Some(limit.to_string())),
            ];
            let answer = client.get("/blocked-addresses", &query)?;
            Ok(Outcome::list(answer, BLOCKED, "no blocked address matches"))
        }
        Blocked::Add { addresses, host, group, r#for: span, reason } => {
            let mut body = Map::new();
            body.insert("addresses".to_owned(), json!(addresses));
            body.insert("hosts".to_owned(), json!(host));
            body.insert("reason".to_owned(), reason.into());
            body.extend(group.map(|it| ("group".to_owned(), it.into())));
            body.extend(span.map(|it| ("duration_s".to_owned(), it.as_secs().into())));
            let answer = client.send("POST", "/blocked-addresses", &body.into())?;
            Ok(some_refused(answer, ASKED))
        }
        Blocked::Remove { ids } => {
            let body = json!({ "ids": ids });
            let answer = client.send("POST", "/blocked-addresses/unblock", &body)?;
            Ok(some_refused(answer, ASKED))
        }
    }
}

fn whitelist(client: &Client, command: Whitelist) -> anyhow::Result<Outcome> {
    match command {
        Whitelist::List { kind, state } => {
            let query = [("kind", kind), ("state", Some(state).filter(|it| it != "any"))];
            Ok(Outcome::list(client.get("/whitelist", &query)?, WHITELIST, "no entry matches"))
        }
        Whitelist::Add { rule, field, judge, value, remark, dry_run, confirm } => {
            let pattern = json!({ "rule": rule, "field": field, "judge": judge, "value": value });
            if dry_run {
                let answer = client.send("POST", "/whitelist/alarms/dry-run", &pattern)?;
                let text = table::dry_run(&answer, ALARMS, Style::of_environment());
                return Ok(Outcome { answer, text, refused: false });
            }
            let body = json!({ "pattern": pattern, "remark": remark, "confirm": confirm });
            let answer = client.send("POST", "/whitelist/alarms", &body)?;
            let style = Style::of_environment();
            let text = table::of(std::slice::from_ref(&answer), WHITELIST, "", style);
            Ok(Outcome { answer, text, refused: false })
        }
        Whitelist::Remove { ids } => {
            for id in &ids {
                client.delete(&format!("/whitelist/{}", segment(id)?))?;
            }
            let answer = json!({ "removed": ids });
            Ok(Outcome { answer, text: format!("removed {}", ids.join(", ")), refused: false })
        }
    }
}

/// An id as a part of an address: nothing in it may lead elsewhere.
fn segment(id: &str) -> anyhow::Result<&str> {
    let is_good = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-' | b'.');
    if id.is_empty() || id.starts_with('.') || !id.bytes().all(is_good) {
        bail!("`{id}` is no id");
    }
    Ok(id)
}

#[cfg(test)]
mod tests;
