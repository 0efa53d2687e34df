//! What an action means for these findings: the sentences of its plan, and exactly what is done
//! when it is carried out. Nothing here changes anything.

use std::net::IpAddr;
use std::time::Duration;

use engine::place::Cidr;
use engine::whitelist::{SUBJECT, Whitelist};
use model::because;
use model::finding::{Evidence, Finding, HandleAction, ProcessFact, Text};
use model::id::HostId;
use model::policy::{AlarmWhitelistEntry, LoginWhitelistEntry, Policy, WhitelistJudge};
use model::time::Timestamp;
use serde_json::{Value, json};

use super::{HandleOptions, counted, text};
use crate::api::App;
use crate::api::problem::Problem;
use crate::api::responses::WAIT;
use crate::api::whitelist::{self, AlarmPattern};
use crate::block::Protected;
use crate::store::{
    FindingDetail, NewResponse, OrderedFile, OrderedProcess, ResponseOrder, WhitelistNote,
};

/// Hosts of a group that a block is shared with.
const SHARED_WITH_MAX: usize = 2000;
/// Processes and files one finding may have isolated.
const TARGETS_MAX: usize = 32;

/// An action, worked out.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) effects: Vec<Text>,
    pub(super) warnings: Vec<Text>,
    pub(super) policy: Option<Policy>,
    /// Without their owner and remark.
    pub(super) notes: Vec<WhitelistNote>,
    pub(super) orders: Vec<NewResponse>,
    /// For the audit log.
    pub(super) detail: Value,
}

/// Works `action` out for `findings`, all of which wait for a decision.
pub(super) async fn prepare(
    app: &App,
    findings: &[FindingDetail],
    action: HandleAction,
    options: &HandleOptions,
    caller: IpAddr,
    now: Timestamp,
) -> Result<Prepared, Problem> {
    let closes =
        |en: &str, zh: &str| Prepared { effects: vec![text(en, zh)], ..Prepared::default() };
    match action {
        HandleAction::Ignore => Ok(closes(
            "closed; the next of its kind is shown again",
            "关闭；下次再发生时会重新显示",
        )),
        HandleAction::MarkHandled => Ok(closes(
            "closed as dealt with by hand, with your remark",
            "标记为已手动处理，并记录备注",
        )),
        HandleAction::LoginWhitelist => login_whitelist(app, findings, options).await,
        HandleAction::AlarmWhitelist => alarm_whitelist(app, findings, options, now).await,
        HandleAction::IsolateAndKill => isolate(app, findings, now),
        HandleAction::BlockIp => block(app, findings, options, caller, now).await,
    }
}

fn param(finding: &FindingDetail, name: &str) -> Option<String> {
    finding.params.get(name).and_then(Value::as_str).filter(|it| !it.is_empty()).map(str::to_owned)
}

/// The whitelist entry that keeps a log-in finding from coming again: its source, and its
/// account where it is about one account.
fn login_entry(finding: &FindingDetail) -> Option<LoginWhitelistEntry> {
    let accounts = finding.params.get("users").and_then(Value::as_u64).unwrap_or(1);
    let seen = finding.evidence.iter().find_map(|it| match it {
        Evidence::Login { user, address, .. } => Some((user.clone(), address.clone())),
        _ => None,
    });
    let (seen_user, seen_address) = seen.unzip();
    let filled = |it: &String| !it.is_empty();
    let address = param(finding, "source").or(seen_address).filter(filled);
    let user = param(finding, "user").or(seen_user).filter(filled).filter(|_| accounts <= 1);
    let host = Some(finding.item.host.id.to_string());
    (address.is_some() || user.is_some()).then_some(LoginWhitelistEntry { address, user, host })
}

/// Whether `entry` is the one that handling `finding` would make, on its host or on every one.
pub(in crate::api) fn covers(entry: &LoginWhitelistEntry, finding: &FindingDetail) -> bool {
    login_entry(finding).is_some_and(|own| {
        own.address == entry.address
            && own.user == entry.user
            && (entry.host.is_none() || entry.host == own.host)
    })
}

/// Whether `entry` keeps `finding` quiet, whenever it ends.
pub(in crate::api) fn silences(entry: &AlarmWhitelistEntry, finding: &FindingDetail) -> bool {
    let entry = AlarmWhitelistEntry { expires_at: None, ..entry.clone() };
    let whole = Finding {
        kind: finding.item.kind,
        rule: finding.item.rule.clone(),
        category: finding.item.category.clone(),
        severity: finding.item.severity,
        subject: finding.item.subject.clone(),
        sentence: Text::default(),
        params: finding.params.clone(),
        evidence: finding.evidence.clone(),
        first_at: finding.item.first_at,
        last_at: finding.item.last_at,
        occurrences: 1,
        resolved: false,
        incident: String::new(),
        confidence: 0,
    };
    Whitelist::new(&[entry]).silences(&whole, finding.item.last_at).is_some()
}

async fn login_whitelist(
    app: &App,
    findings: &[FindingDetail],
    options: &HandleOptions,
) -> Result<Prepared, Problem> {
    let mut policy = app.store.policy().await?.policy;
    let mut prepared = Prepared {
        effects: vec![text(
            "closed, and the policy of the agents changes",
            "关闭，并更新代理的策略",
        )],
        ..Prepared::default()
    };
    let mut entries = Vec::new();
    for finding in findings {
        let mut entry = login_entry(finding).ok_or_else(|| {
            let detail = because!(
                "handle.no_login",
                "{finding} names neither source nor account",
                finding = finding.item.id
            );
            Problem::field("ids", detail)
        })?;
        if options.every_host {
            entry.host = None;
        }
        if entries.contains(&entry) {
            continue;
        }
        let host = entry.host.is_some().then_some(finding.item.host.name.as_str());
        prepared.effects.push(describe_entry(&entry, host));
        let id = entry.id();
        prepared.notes.push(whitelist::note("", &id, "", Some(finding.item.id)));
        if !policy.login.whitelist.contains(&entry) {
            policy.login.whitelist.push(entry.clone());
        }
        entries.push(entry);
    }
    prepared.detail = json!({ "whitelisted": entries });
    prepared.policy = Some(policy);
    Ok(prepared)
}

fn describe_entry(entry: &LoginWhitelistEntry, host: Option<&str>) -> Text {
    let place = match host {
        Some(name) => text(format!("on {name}"), format!("在 {name} 上")),
        None => text("on any server", "在所有服务器上"),
    };
    let (en, zh) = (place.en, place.zh);
    match (&entry.address, &entry.user) {
        (Some(address), Some(user)) => text(
            format!("log-ins of {user} from {address} no longer raise an alarm, {en}"),
            format!("{user} 从 {address} 的登录{zh}不再告警"),
        ),
        (Some(address), None) => text(
            format!("log-ins from {address} no longer raise an alarm, {en}"),
            format!("来自 {address} 的登录{zh}不再告警"),
        ),
        (None, user) => {
            let user = user.as_deref().unwrap_or_default();
            text(
                format!("log-ins of {user} no longer raise an alarm, {en}"),
                format!("{user} 的登录{zh}不再告警"),
            )
        }
    }
}

async fn alarm_whitelist(
    app: &App,
    findings: &[FindingDetail],
    options: &HandleOptions,
    now: Timestamp,
) -> Result<Prepared, Problem> {
    if options.expires_at.is_some_and(|it| it <= now) {
        return Err(Problem::field("options.expires_at", whitelist::over()));
    }
    let mut policy = app.store.policy().await?.policy;
    let mut prepared = Prepared::default();
    let mut patterns: Vec<(AlarmPattern, &FindingDetail)> = Vec::new();
    for finding in findings {
        let pattern = options.pattern.clone().unwrap_or_else(|| AlarmPattern {
            rule: finding.item.rule.clone(),
            field: SUBJECT.to_owned(),
            judge: WhitelistJudge::Equals,
            value: finding.item.subject.clone(),
        });
        pattern.check(app)?;
        let entry = pattern.entry(options.expires_at);
        if !silences(&entry, finding) {
            let detail = because!(
                "handle.not_silenced",
                "it would not keep {finding} quiet",
                finding = finding.item.id
            );
            return Err(Problem::field("options.pattern", detail));
        }
        if !patterns.iter().any(|it| it.0.entry(None).id == entry.id) {
            patterns.push((pattern, finding));
        }
    }
    for (pattern, finding) in patterns {
        let (tried, warnings) = whitelist::attempt(app, &pattern, now).await?;
        let entry = pattern.entry(options.expires_at);
        prepared.effects.push(describe_pattern(&entry));
        prepared.effects.push(text(
            format!(
                "in the last 30 days it would have silenced {} of {}, on {}",
                tried.silenced,
                counted(tried.looked_at, "alarm"),
                counted(tried.hosts, "server")
            ),
            format!(
                "最近 30 天的 {} 条告警中会屏蔽 {} 条，涉及 {} 台服务器",
                tried.looked_at, tried.silenced, tried.hosts
            ),
        ));
        prepared.warnings.extend(warnings);
        prepared.notes.push(whitelist::note("", &entry.id, "", Some(finding.item.id)));
        policy.detect.whitelist.retain(|it| it.id != entry.id);
        policy.detect.whitelist.push(entry);
    }
    prepared.detail =
        json!({ "entries": prepared.notes.iter().map(|it| &it.id).collect::<Vec<_>>() });
    prepared.policy = Some(policy);
    Ok(prepared)
}

fn describe_pattern(entry: &AlarmWhitelistEntry) -> Text {
    let (en, zh) = match entry.judge {
        WhitelistJudge::Equals => ("is", "等于"),
        WhitelistJudge::Contains => ("contains", "包含"),
        WhitelistJudge::Cidr => ("is in", "属于"),
    };
    let AlarmWhitelistEntry { rule, field, value, .. } = entry;
    if rule.is_empty() {
        return text(
            format!("no rule raises an alarm any more where {field} {en} {value}"),
            format!("{field} {zh} {value} 时，所有规则不再告警"),
        );
    }
    text(
        format!("{rule} raises no alarm any more where {field} {en} {value}"),
        format!("{field} {zh} {value} 时，{rule} 不再告警"),
    )
}

/// Says that an agent is away and when it is given up.
fn while_away(app: &App, host: HostId, name: &str, effects: &mut Vec<Text>) {
    if !app.link.agents.is_online(host) {
        effects.push(text(
            format!("{name} is offline: it is asked when it comes back within a day, not later"),
            format!("{name} 离线：如果一天内恢复连接则执行，否则放弃"),
        ));
    }
}

/// The process a finding is about: the one marked, else the first.
fn subject_process(finding: &FindingDetail) -> Option<&ProcessFact> {
    let chains = finding.evidence.iter().filter_map(|it| match it {
        Evidence::Processes { chain } => Some(chain),
        _ => None,
    });
    let mut chains = chains.peekable();
    let first = chains.peek().and_then(|it| it.first());
    chains.flatten().find(|it| it.is_subject).or(first)
}

fn isolate(app: &App, findings: &[FindingDetail], now: Timestamp) -> Result<Prepared, Problem> {
    let mut prepared = Prepared::default();
    let mut told = Vec::new();
    for finding in findings {
        let host = &finding.item.host;
        let mut kept = Vec::new();
        let (processes, files) = targets(finding, &mut kept);
        if processes.is_empty() && files.is_empty() {
            let detail = because!(
                "handle.no_target",
                "{finding} names no process that can be told again, and no file that is not a package's",
                finding = finding.item.id
            );
            return Err(Problem::field("ids", detail));
        }
        let name = &host.name;
        for it in &processes {
            let pid = it.pid;
            let program = subject_process(finding).map(|it| it.executable.as_str());
            let program = program.unwrap_or_default();
            prepared.effects.push(text(
                format!("ends process {pid} ({program}) and its descendants on {name}"),
                format!("在 {name} 上结束进程 {pid}（{program}）及其子进程"),
            ));
        }
        for it in &files {
            let path = &it.path;
            let digest: String = it.sha256.chars().take(12).collect();
            prepared.effects.push(text(
                format!(
                    "moves {path} (SHA-256 {digest}…) into the vault of {name}, where it cannot run"
                ),
                format!("将 {path}（SHA-256 {digest}…）移入 {name} 的隔离区，使其无法运行"),
            ));
        }
        prepared.effects.extend(kept);
        if !told.contains(&host.id) {
            told.push(host.id);
            while_away(app, host.id, name, &mut prepared.effects);
        }
        let refuse_content = !files.is_empty();
        prepared.orders.push(NewResponse {
            host: host.id,
            finding: Some(finding.item.id),
            order: ResponseOrder::Isolate { processes, files, refuse_content },
            expires_at: now + WAIT,
        });
    }
    if prepared
        .orders
        .iter()
        .any(|it| matches!(it.order, ResponseOrder::Isolate { refuse_content: true, .. }))
    {
        prepared.effects.push(text(
            "the same content may not run there again until it is restored",
            "在恢复之前，相同内容的文件不得再次运行",
        ));
    }
    Ok(prepared)
}

/// What isolating acts on; a package's file is left where it is, because the system needs it.
fn targets(
    finding: &FindingDetail,
    kept: &mut Vec<Text>,
) -> (Vec<OrderedProcess>, Vec<OrderedFile>) {
    let subject = subject_process(finding);
    let started = subject.and_then(|it| Some((it.pid, it.started_ns?)));
    let processes = started.map(|(pid, started_ns)| OrderedProcess { pid, started_ns, tree: true });
    let named = finding.evidence.iter().filter_map(|it| match it {
        Evidence::File { path, sha256, package, .. } => Some((path, sha256, package)),
        _ => None,
    });
    let own = subject.map(|it| (&it.executable, &it.sha256, &it.package));
    let mut files: Vec<OrderedFile> = Vec::new();
    for (path, sha256, package) in named.chain(own).take(TARGETS_MAX) {
        match (sha256, package) {
            (_, Some(package)) => kept.push(text(
                format!("leaves {path} where it is: it belongs to the package {package}"),
                format!("保留 {path}：它属于软件包 {package}"),
            )),
            (Some(sha256), None) if !files.iter().any(|it| it.path == *path) => {
                files.push(OrderedFile { path: path.clone(), sha256: sha256.clone() });
            }
            (_, None) => {}
        }
    }
    (processes.into_iter().collect(), files)
}

/// The address a finding says the attack came from or went to.
fn attacker(finding: &FindingDetail) -> Option<String> {
    let is_address = |it: &String| Cidr::parse(it).is_some();
    for name in ["source", "address", "SourceIp", "StdinPeerAddress", "DestinationIp"] {
        if let Some(found) = param(finding, name).filter(is_address) {
            return Some(found);
        }
    }
    finding.evidence.iter().find_map(|it| match it {
        Evidence::Login { address, .. } => Some(address.clone()).filter(is_address),
        Evidence::Connection { remote, .. } => {
            remote.parse::<std::net::SocketAddr>().ok().map(|it| it.ip().to_string())
        }
        _ => None,
    })
}

async fn block(
    app: &App,
    findings: &[FindingDetail],
    options: &HandleOptions,
    caller: IpAddr,
    now: Timestamp,
) -> Result<Prepared, Problem> {
    let policy = app.store.policy().await?.policy;
    let protected = Protected::gather(&app.link, &policy, Some(caller), now).await?;
    let span = options.block_s.unwrap_or(policy.response.block_s);
    let until = now + Duration::from_secs(span.into());
    let share = options.share.unwrap_or(policy.response.share_blocks);
    let mut prepared = Prepared::default();
    for finding in findings {
        let id = finding.item.id;
        let Some(address) = attacker(finding) else {
            let detail = because!("handle.no_address", "{finding} names no address", finding = id);
            return Err(Problem::field("ids", detail));
        };
        if let Some(why) = protected.refuses(&address) {
            return Err(Problem::field("ids", why.because(&address).at(&id.to_string())));
        }
        let host = &finding.item.host;
        let mut hosts = vec![host.id];
        if share && let Some((_, group)) = app.store.groups_of(vec![host.id]).await?.pop() {
            let others = app.store.members(group, SHARED_WITH_MAX).await?;
            hosts.extend(others.into_iter().filter(|it| *it != host.id));
        }
        prepared.effects.push(describe_block(&address, &host.name, hosts.len(), span));
        while_away(app, host.id, &host.name, &mut prepared.effects);
        let order = ResponseOrder::Block {
            addresses: vec![address],
            until,
            reason: finding.item.sentence.en.clone(),
        };
        prepared.orders.extend(hosts.into_iter().map(|host| NewResponse {
            host,
            finding: Some(id),
            order: order.clone(),
            expires_at: until,
        }));
    }
    prepared.detail = json!({ "until": until, "hosts": prepared.orders.len() });
    Ok(prepared)
}

fn describe_block(address: &str, host: &str, hosts: usize, span_s: u32) -> Text {
    let Text { en: span_en, zh: span_zh } = span(span_s);
    if hosts > 1 {
        let others = hosts - 1;
        return text(
            format!(
                "{host} and {} of its group refuse all packets from {address} for {span_en}",
                counted(others, "other server")
            ),
            format!(
                "{host} 及其分组内其他 {others} 台服务器在 {span_zh}内拒绝来自 {address} 的所有数据包"
            ),
        );
    }
    text(
        format!("{host} refuses all packets from {address} for {span_en}"),
        format!("{host} 在 {span_zh}内拒绝来自 {address} 的所有数据包"),
    )
}

/// A span in the largest unit of which it is a whole number.
fn span(seconds: u32) -> Text {
    let units = [
        (86_400, "day", "天"),
        (3_600, "hour", "小时"),
        (60, "minute", "分钟"),
        (1, "second", "秒"),
    ];
    let fits = |it: &&(u32, &str, &str)| seconds >= it.0 && seconds.is_multiple_of(it.0);
    let (unit, en, zh) = units.iter().find(fits).copied().unwrap_or((1, "second", "秒"));
    let count = seconds / unit;
    text(counted(count, en), format!("{count} {zh}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_counts_are_told_as_people_do() {
        for (seconds, en, zh) in [
            (43_200, "12 hours", "12 小时"),
            (3_600, "1 hour", "1 小时"),
            (86_400 * 30, "30 days", "30 天"),
            (90, "90 seconds", "90 秒"),
            (60, "1 minute", "1 分钟"),
        ] {
            assert_eq!(span(seconds), text(en, zh));
        }
        assert_eq!(counted(1_u64, "server"), "1 server");
        assert_eq!(counted(0_u64, "server"), "0 servers");
    }
}
