//! The dashboard, from counters and roll-ups only, and the search box.

use std::collections::BTreeMap;

use async_trait::async_trait;
use model::finding::{FindingKind, Severity};
use model::id::{FindingId, HostId};
use model::time::Timestamp;
use rusqlite::{Connection, params};

use super::findings::{item_by_id, latest_alarms, question};
use super::rows::{Out, count, json, numbered};
use super::{SqliteStore, assets};
use crate::store::{
    Dashboard, DayCount, HostFacts, HostRef, KindCounts, LATEST_MAX, OverviewStore, Protection,
    ProtectionCount, Result, RiskCount, SEARCH_HITS_MAX, SearchHit, SeverityCounts, TOP_HOSTS_MAX,
    TopHost, score, words,
};

const DAYS_MAX: u32 = 90;
const LATEST_SPAN: std::time::Duration = std::time::Duration::from_hours(24);
/// Hosts whose names a search looks through.
const SEARCHED_HOSTS_MAX: i64 = 20_000;
/// Longest text searched for.
const SEARCH_CHARS_MAX: usize = 128;

#[async_trait]
impl OverviewStore for SqliteStore {
    async fn dashboard(&self, days: u32, now: Timestamp) -> Result<Dashboard> {
        self.read("reading the dashboard", move |sql| {
            let since = now.day() - i64::from(days.clamp(1, DAYS_MAX));
            let counters = counters(sql)?;
            let risks = risks(sql, &counters)?;
            let protection = protection(&counters);
            let Trend { days, intrusions } = trend(sql, since, now.day())?;
            Ok(Dashboard {
                score: score(&risks, &protection),
                risks,
                protection,
                days,
                intrusions,
                rules: rules(sql, since)?,
                isolated: counters.get("isolated").copied().unwrap_or(0),
                blocked: counters.get("blocked").copied().unwrap_or(0),
                top_hosts: top_hosts(sql)?,
                latest: latest_alarms(sql, now - LATEST_SPAN, LATEST_MAX)?,
            })
        })
        .await
    }

    async fn search(&self, text: String) -> Result<Vec<SearchHit>> {
        self.read("searching", move |sql| {
            let text: String = text.trim().chars().take(SEARCH_CHARS_MAX).collect();
            if text.is_empty() {
                return Ok(Vec::new());
            }
            let mut hits = hosts(sql, &text.to_lowercase())?;
            hits.extend(findings(sql, &text)?);
            let values = assets::values_beginning(sql, &text, SEARCH_HITS_MAX)?;
            hits.extend(values.into_iter().map(SearchHit::Asset));
            Ok(hits)
        })
        .await
    }
}

fn counters(sql: &Connection) -> Out<BTreeMap<String, u64>> {
    let mut statement = sql.prepare_cached("SELECT name, value FROM counter WHERE value > 0")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, count(row, 1)?)))?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

fn risks(sql: &Connection, counters: &BTreeMap<String, u64>) -> Out<Vec<RiskCount>> {
    let mut by_kind: BTreeMap<FindingKind, SeverityCounts> = BTreeMap::new();
    let mut statement = sql.prepare_cached(
        "SELECT c.kind, o.severity, o.count FROM open_count o JOIN category c ON c.id = o.category
         WHERE o.scope = 0",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let kind = numbered(row, 0, FindingKind::from_number)?;
        let severity = numbered(row, 1, Severity::from_number)?;
        *by_kind.entry(kind).or_default().of(severity) += count(row, 2)?;
    }
    let risk = |kind: &FindingKind| {
        let by_severity = by_kind.get(kind).copied().unwrap_or_default();
        RiskCount {
            kind: *kind,
            open: Severity::ALL.iter().map(|it| by_severity.get(*it)).sum(),
            hosts: counters.get(&format!("open_hosts.{kind}")).copied().unwrap_or(0),
            by_severity,
        }
    };
    Ok(FindingKind::ALL.iter().map(risk).collect())
}

fn protection(counters: &BTreeMap<String, u64>) -> ProtectionCount {
    let of = |name: &str| counters.get(name).copied().unwrap_or(0);
    let by = |it: Protection| of(&format!("protection.{it}"));
    let blind = counters
        .iter()
        .filter_map(|(name, hosts)| name.strip_prefix("blind.").map(|it| (it.to_owned(), *hosts)));
    let mut blind_spots: Vec<_> = blind.collect();
    blind_spots.sort_by_key(|it| std::cmp::Reverse(it.1));
    ProtectionCount {
        total: of("hosts"),
        protected: by(Protection::Protected),
        degraded: by(Protection::Degraded),
        unprotected: by(Protection::Unprotected),
        offline: of("offline"),
        blind_spots,
    }
}

struct Trend {
    days: Vec<DayCount>,
    intrusions: Vec<(String, u64)>,
}

/// Days after `since` up to `today`, and the alarms of them by category.
fn trend(sql: &Connection, since: i64, today: i64) -> Out<Trend> {
    let mut days: BTreeMap<(i64, FindingKind), (u64, u64)> = BTreeMap::new();
    let mut intrusions: BTreeMap<String, u64> = BTreeMap::new();
    let mut statement = sql.prepare_cached(
        "SELECT s.day, c.kind, c.name, s.total, s.handled
         FROM stat_day s JOIN category c ON c.id = s.category WHERE s.day > ?1 AND s.day <= ?2",
    )?;
    let mut rows = statement.query(params![since, today])?;
    while let Some(row) = rows.next()? {
        let kind = numbered(row, 1, FindingKind::from_number)?;
        let (total, handled) = (count(row, 3)?, count(row, 4)?);
        let sums = days.entry((row.get(0)?, kind)).or_default();
        *sums = (sums.0 + total, sums.1 + handled);
        if kind == FindingKind::Alarm && total > 0 {
            *intrusions.entry(row.get(2)?).or_default() += total;
        }
    }
    let days = days
        .into_iter()
        .map(|((day, kind), (total, handled))| DayCount { day, kind, total, handled })
        .collect();
    let mut intrusions: Vec<_> = intrusions.into_iter().collect();
    intrusions.sort_by_key(|it| std::cmp::Reverse(it.1));
    Ok(Trend { days, intrusions })
}

fn rules(sql: &Connection, since: i64) -> Out<Vec<(String, u64)>> {
    let mut statement = sql.prepare_cached(
        "SELECT rule, sum(found) FROM rule_day WHERE day > ?1 GROUP BY rule
         HAVING sum(found) > 0 ORDER BY 2 DESC, rule",
    )?;
    let rows = statement.query_map(params![since], |row| Ok((row.get(0)?, count(row, 1)?)))?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

fn top_hosts(sql: &Connection) -> Out<Vec<TopHost>> {
    let mut statement = sql.prepare_cached(
        "SELECT id, name, risk, asset_risk, vulnerability, unsafe_setting, alarm
         FROM host WHERE risk > 0 ORDER BY risk DESC, id DESC LIMIT ?1",
    )?;
    let rows = statement.query_map(params![TOP_HOSTS_MAX as i64], |row| {
        Ok(TopHost {
            host: HostRef { id: HostId(row.get(0)?), name: row.get(1)? },
            risk_tenths: count(row, 2)?,
            counts: KindCounts {
                asset_risk: count(row, 3)?,
                vulnerability: count(row, 4)?,
                unsafe_setting: count(row, 5)?,
                alarm: count(row, 6)?,
            },
        })
    })?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

fn hosts(sql: &Connection, text: &str) -> Out<Vec<SearchHit>> {
    let mut statement = sql.prepare_cached(
        "SELECT h.id, h.name, m.facts
         FROM (SELECT id, name, search FROM host ORDER BY id DESC LIMIT ?2) h
         JOIN host_more m ON m.host = h.id
         WHERE instr(h.search, ?1) > 0 LIMIT ?3",
    )?;
    let values = params![text, SEARCHED_HOSTS_MAX, SEARCH_HITS_MAX as i64];
    let rows = statement.query_map(values, |row| {
        let facts: HostFacts = json(row, 2)?;
        Ok(SearchHit::Host {
            host: HostRef { id: HostId(row.get(0)?), name: row.get(1)? },
            addresses: facts.addresses,
        })
    })?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

fn findings(sql: &Connection, text: &str) -> Out<Vec<SearchHit>> {
    let asked = words::of_question(text);
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let mut statement = sql.prepare_cached(
        "SELECT rowid FROM finding_word WHERE finding_word MATCH ?1 ORDER BY rowid DESC LIMIT ?2",
    )?;
    let ids: Vec<i64> = statement
        .query_map(params![question(sql, &asked)?, SEARCH_HITS_MAX as i64], |row| row.get(0))?
        .collect::<std::result::Result<_, _>>()?;
    ids.into_iter().map(|it| item_by_id(sql, FindingId(it)).map(SearchHit::Finding)).collect()
}
