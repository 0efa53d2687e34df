//! How dangerous an open port is: `content/ports.yml` applied to what is known about the listener.

use std::collections::HashMap;
use std::fmt::Write as _;

use model::finding::Text;
use serde::Deserialize;
use serde_saphyr::Spanned;

#[cfg(test)]
mod tests;

/// The table built into the program.
pub const BUILTIN: &str = include_str!("../../../content/ports.yml");
/// Its name in messages.
pub const BUILTIN_NAME: &str = "content/ports.yml";

/// The kernel keeps this many bytes of a program's name.
const COMM_BYTES: usize = 15;

/// Why a port table does not load.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{file}:{line}: {reason}")]
pub struct PortRulesError {
    pub file: String,
    /// From 1; 0 when the place is not known.
    pub line: u64,
    pub reason: String,
}

model::words! {
    /// Ordered by how much a person should care.
    Level {
        Safe = "safe",
        Unknown = "unknown",
        Attention = "attention",
        Dangerous = "dangerous",
    }
}

model::words! {
    Protocol {
        Tcp = "tcp",
        Udp = "udp",
    }
}

model::words! {
    /// From where the port can be reached, judged by the address it is bound to.
    Scope {
        /// 127.0.0.0/8 and ::1.
        Loopback = "loopback",
        /// Addresses that are not routed on the internet.
        Private = "private",
        /// Every address, or one that is routed.
        Exposed = "exposed",
    }
}

model::words! {
    /// Whether a service asks who is there, as its configuration says.
    Authentication {
        Required = "required",
        Absent = "absent",
    }
}

/// What is known about a listener. `None` is "not known", never "no".
#[derive(Clone, Copy, Debug)]
pub struct PortFacts<'a> {
    pub protocol: Protocol,
    pub port: u16,
    pub scope: Scope,
    /// Name as the kernel has it (cut at 15 bytes) or of the executable.
    pub process: Option<&'a str>,
    /// Absolute path, without the kernel's ` (deleted)`.
    pub executable: Option<&'a str>,
    /// Package that owns the executable's path.
    pub package: Option<&'a str>,
    /// The host has a package database and it does not list the executable.
    pub unpackaged: Option<bool>,
    pub deleted_executable: bool,
    pub authentication: Option<Authentication>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    pub level: Level,
    pub reason: Text,
    /// What listens, if it is a service the table knows.
    pub service: Option<String>,
}

/// A loaded port table.
#[derive(Debug)]
pub struct PortRules {
    dangers: HashMap<String, Danger>,
    context: Context,
    carriers: Vec<String>,
    temporary_places: Vec<String>,
    services: Vec<Service>,
    by_port: HashMap<(Protocol, u16), Vec<usize>>,
    by_process: HashMap<String, Vec<usize>>,
}

impl PortRules {
    /// The table built into the program.
    pub fn builtin() -> Result<Self, PortRulesError> {
        Self::parse(BUILTIN_NAME, BUILTIN)
    }

    /// `file` is used in messages only.
    pub fn parse(file: &str, text: &str) -> Result<Self, PortRulesError> {
        let error = |line, reason| PortRulesError { file: file.to_owned(), line, reason };
        let raw: File = serde_saphyr::from_str(text).map_err(|it| {
            let line = it.location().map_or(0, |it| it.line());
            error(line, it.without_snippet().to_string())
        })?;
        let mut rules = Self {
            dangers: raw.dangers,
            context: raw.context,
            carriers: raw.carriers,
            temporary_places: raw.temporary_places,
            services: Vec::with_capacity(raw.services.len()),
            by_port: HashMap::new(),
            by_process: HashMap::new(),
        };
        for (index, spanned) in raw.services.into_iter().enumerate() {
            let line = spanned.referenced.line();
            let service = spanned.value;
            if !rules.dangers.contains_key(&service.danger) {
                return Err(error(line, format!("no danger is called `{}`", service.danger)));
            }
            if service.tcp.is_empty() && service.udp.is_empty() && service.process.is_empty() {
                let name = &service.name;
                return Err(error(line, format!("`{name}` names neither a port nor a process")));
            }
            rules.index(index, &service);
            rules.services.push(service);
        }
        Ok(rules)
    }

    /// Number of services in the table.
    pub fn len(&self) -> usize {
        self.services.len()
    }

    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    fn index(&mut self, index: usize, service: &Service) {
        for (protocol, ports) in [(Protocol::Tcp, &service.tcp), (Protocol::Udp, &service.udp)] {
            for port in ports {
                self.by_port.entry((protocol, *port)).or_default().push(index);
            }
        }
        for name in &service.process {
            self.by_process.entry(kernel_name(name).to_owned()).or_default().push(index);
        }
    }

    fn services_at<'a>(
        &'a self,
        indices: Option<&'a Vec<usize>>,
    ) -> impl Iterator<Item = &'a Service> {
        indices.into_iter().flatten().filter_map(|it| self.services.get(*it))
    }

    /// The service that listens, and whether only its number says so although another
    /// program holds the port.
    fn identify(&self, facts: &PortFacts<'_>) -> Option<(&Service, bool)> {
        let at_port = || self.services_at(self.by_port.get(&(facts.protocol, facts.port)));
        let Some(name) = facts.process else { return at_port().next().map(|it| (it, false)) };
        let name = kernel_name(name);
        let of_process = || self.services_at(self.by_process.get(name));
        let names = |service: &Service| service.process.iter().any(|it| kernel_name(it) == name);
        if let Some(both) = at_port().find(|it| names(it)) {
            return Some((both, false));
        }
        let anyone = |service: &&Service| service.process.is_empty();
        if let Some(known) = of_process().next() {
            let by_number = at_port().find(|it| anyone(it) && it.danger != BACKDOOR);
            return Some((by_number.unwrap_or(known), false));
        }
        if self.carriers.iter().any(|it| kernel_name(it) == name) {
            return at_port().next().map(|it| (it, false));
        }
        let service = at_port().find(anyone).or_else(|| at_port().next())?;
        let packaged_elsewhere = service.danger == BACKDOOR && facts.package.is_some();
        Some((service, !service.process.is_empty() || packaged_elsewhere))
    }
}

/// Danger whose ports a packaged program may hold innocently.
const BACKDOOR: &str = "backdoor";

fn kernel_name(name: &str) -> &str {
    name.get(..COMM_BYTES).unwrap_or(name)
}

/// Judges one open port.
pub fn assess(rules: &PortRules, facts: &PortFacts<'_>) -> Assessment {
    let (mut level, mut reason, service) = judge_service(rules, facts);
    if let Some((floor, why)) = judge_program(rules, facts)
        && (floor > level || (floor == level && level == Level::Dangerous))
    {
        level = floor;
        reason = fill(why, facts, service.unwrap_or_default());
    }
    Assessment { level, reason, service: service.map(str::to_owned) }
}

/// By what is served: level, reason, name.
fn judge_service<'a>(
    rules: &'a PortRules,
    facts: &PortFacts<'_>,
) -> (Level, Text, Option<&'a str>) {
    let context = &rules.context;
    let identified = rules
        .identify(facts)
        .and_then(|(service, other)| Some((service, other, rules.dangers.get(&service.danger)?)));
    let Some((service, other, danger)) = identified else {
        return match facts.scope {
            Scope::Loopback => (Level::Safe, fill(&context.loopback, facts, ""), None),
            Scope::Private | Scope::Exposed => {
                (Level::Unknown, fill(&context.unknown, facts, ""), None)
            }
        };
    };
    let name = service.name.as_str();
    let by_scope = danger.levels.at(facts.scope);
    if other {
        let level = by_scope.clamp(Level::Safe, Level::Attention);
        return (level, fill(&context.other_program, facts, name), None);
    }
    let own = service.reason.as_ref().unwrap_or(&danger.reason);
    let (level, why) = match (facts.scope, facts.authentication) {
        (Scope::Loopback, _) if by_scope == Level::Safe => (Level::Safe, &context.loopback),
        (Scope::Private | Scope::Exposed, Some(Authentication::Absent)) => {
            (Level::Dangerous, &context.no_authentication)
        }
        (Scope::Private | Scope::Exposed, Some(Authentication::Required)) => {
            let level = danger.levels.protected.min(by_scope);
            (level, if level < by_scope { &context.authenticated } else { own })
        }
        _ => (by_scope, own),
    };
    (level, fill(why, facts, name), Some(name))
}

/// By the program that serves it: the least level, and why.
fn judge_program<'a>(rules: &'a PortRules, facts: &PortFacts<'_>) -> Option<(Level, &'a Text)> {
    let context = &rules.context;
    let off_loopback = facts.scope != Scope::Loopback;
    let severe = if off_loopback { Level::Dangerous } else { Level::Attention };
    let temporary = facts
        .executable
        .is_some_and(|path| rules.temporary_places.iter().any(|it| path.starts_with(it.as_str())));
    if temporary {
        return Some((severe, &context.temporary_place));
    }
    if facts.deleted_executable {
        return Some(if facts.package.is_some() {
            (
                if off_loopback { Level::Attention } else { Level::Safe },
                &context.replaced_executable,
            )
        } else {
            (severe, &context.deleted_executable)
        });
    }
    let unpackaged = facts.unpackaged == Some(true) && off_loopback;
    unpackaged.then_some((Level::Attention, &context.unpackaged))
}

fn fill(template: &Text, facts: &PortFacts<'_>, service: &str) -> Text {
    let one = |text: &str, nobody: &str| {
        let mut port = String::new();
        let _ = write!(port, "{}/{}", facts.port, facts.protocol);
        text.replace("{port}", &port)
            .replace("{service}", service)
            .replace("{process}", facts.process.unwrap_or(nobody))
    };
    Text { en: one(&template.en, "an unknown program"), zh: one(&template.zh, "未知程序") }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    dangers: HashMap<String, Danger>,
    context: Context,
    carriers: Vec<String>,
    temporary_places: Vec<String>,
    services: Vec<Spanned<Service>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Danger {
    levels: Levels,
    reason: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Levels {
    loopback: Level,
    private: Level,
    exposed: Level,
    /// Authentication is known to be on.
    protected: Level,
}

impl Levels {
    fn at(&self, scope: Scope) -> Level {
        match scope {
            Scope::Loopback => self.loopback,
            Scope::Private => self.private,
            Scope::Exposed => self.exposed,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Context {
    loopback: Text,
    no_authentication: Text,
    authenticated: Text,
    deleted_executable: Text,
    replaced_executable: Text,
    temporary_place: Text,
    unpackaged: Text,
    other_program: Text,
    unknown: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    #[serde(rename = "service")]
    name: String,
    danger: String,
    #[serde(default)]
    tcp: Vec<u16>,
    #[serde(default)]
    udp: Vec<u16>,
    #[serde(default)]
    process: Vec<String>,
    reason: Option<Text>,
}
