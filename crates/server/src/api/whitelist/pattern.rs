//! Which alarms an entry keeps quiet, what it would have kept quiet, and whether that is too much.

use std::time::Duration;

use axum::Json;
use engine::place::Cidr;
use model::because;
use model::finding::Text;
use model::policy::{AlarmWhitelistEntry, WhitelistJudge};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::App;
use crate::api::findings::Finding;
use crate::api::handling::counted;
use crate::api::policy::no_block;
use crate::api::problem::Problem;
use crate::api::routes::{Ask, Nothing};
use crate::auth::permission::Handle;
use crate::store::DryRun as Tried;

/// A dry run looks back this far.
const DRY_RUN_SPAN: Duration = Duration::from_hours(30 * 24);
/// Shorter values are found nearly everywhere.
const CONTAINS_CHARS_MIN: usize = 4;
const CIDR_V4_BITS_MIN: u8 = 16;
const CIDR_V6_BITS_MIN: u8 = 32;
/// Silencing more than this share of what a rule found is worth a second look.
const SHARE_MAX_PERCENT: u64 = 50;
/// Few alarms say little about a share.
const SHARE_ALARMS_MIN: u64 = 10;

/// An alarm that is not wanted.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlarmPattern {
    /// Id of the rule; empty: every rule.
    #[serde(default)]
    #[schema(max_length = 64, example = "GAR-LOG-001")]
    pub rule: String,
    /// A parameter of the finding, or `subject`.
    #[schema(min_length = 1, max_length = 64, example = "source")]
    pub field: String,
    pub judge: WhitelistJudge,
    #[schema(min_length = 1, max_length = 512, example = "192.0.2.77")]
    pub value: String,
}

impl AlarmPattern {
    /// Named by what it says, so that saying it twice is one entry.
    fn id(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for part in [self.rule.as_str(), &self.field, self.judge.as_str(), &self.value] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let hex = hasher.finalize().to_hex();
        format!("alarm-{}", hex.as_str().chars().take(16).collect::<String>())
    }

    pub(in crate::api) fn entry(&self, expires_at: Option<Timestamp>) -> AlarmWhitelistEntry {
        AlarmWhitelistEntry {
            id: self.id(),
            rule: self.rule.clone(),
            field: self.field.clone(),
            judge: self.judge,
            value: self.value.clone(),
            expires_at,
        }
    }

    pub(in crate::api) fn check(&self, app: &App) -> Result<(), Problem> {
        if !self.rule.is_empty() && app.catalogue.get(&self.rule).is_none() {
            return Err(Problem::field(
                "rule",
                because!("input.no_rule", "is no rule of this server"),
            ));
        }
        if self.judge == WhitelistJudge::Cidr && Cidr::parse(&self.value).is_none() {
            return Err(Problem::field("value", no_block()));
        }
        Ok(())
    }

    /// Why it may silence more than is meant, by itself and by what it would have silenced.
    fn warnings(&self, tried: &Tried) -> Vec<Text> {
        let mut out = Vec::new();
        let mut warn = |en: String, zh: String| out.push(Text { en, zh });
        if self.rule.is_empty() {
            warn(
                "it holds for every rule, also for rules that come later".to_owned(),
                "对所有规则生效，包括以后新增的规则".to_owned(),
            );
        }
        if self.judge == WhitelistJudge::Contains && self.value.chars().count() < CONTAINS_CHARS_MIN
        {
            warn(
                format!("`{}` is so short that it stands in many values", self.value),
                format!("“{}”过短，会匹配很多取值", self.value),
            );
        }
        let block = Cidr::parse(&self.value).filter(|_| self.judge == WhitelistJudge::Cidr);
        let least = |it: &Cidr| if it.is_ipv4() { CIDR_V4_BITS_MIN } else { CIDR_V6_BITS_MIN };
        if block.is_some_and(|it| it.bits() < least(&it)) {
            warn(
                format!("{} covers very many addresses", self.value),
                format!("{} 包含的地址过多", self.value),
            );
        }
        let much = tried.silenced * 100 > tried.looked_at * SHARE_MAX_PERCENT;
        if tried.looked_at >= SHARE_ALARMS_MIN && much {
            warn(
                format!(
                    "it would have silenced {} of {} of the last 30 days",
                    tried.silenced,
                    counted(tried.looked_at, "alarm")
                ),
                format!(
                    "最近 30 天的 {} 条告警中有 {} 条会被屏蔽",
                    tried.looked_at, tried.silenced
                ),
            );
        }
        out
    }
}

/// What an entry would have silenced in the last 30 days.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DryRun {
    /// Alarms that were looked at: of the rule, or of all.
    pub looked_at: u64,
    /// False when there were more than could be looked at.
    pub complete: bool,
    pub silenced: u64,
    /// On how many servers.
    pub hosts: u64,
    /// The newest of them, at most 50.
    pub findings: Vec<Finding>,
    /// Why it may silence more than is meant; saving then asks for `confirm`.
    pub warnings: Vec<Text>,
}

pub async fn dry_run(ask: Ask<Handle, (), Nothing, AlarmPattern>) -> Result<Json<DryRun>, Problem> {
    ask.body.check(&ask.app)?;
    let (tried, warnings) = attempt(&ask.app, &ask.body, ask.now).await?;
    let catalogue = &ask.app.catalogue;
    Ok(Json(DryRun {
        looked_at: tried.looked_at,
        complete: tried.complete,
        silenced: tried.silenced,
        hosts: tried.hosts,
        findings: tried.findings.into_iter().map(|it| Finding::of(it, catalogue)).collect(),
        warnings,
    }))
}

/// A dry run and the warnings that follow from it.
pub(in crate::api) async fn attempt(
    app: &App,
    pattern: &AlarmPattern,
    now: Timestamp,
) -> Result<(Tried, Vec<Text>), Problem> {
    let tried = app.store.dry_run(pattern.entry(None), now - DRY_RUN_SPAN).await?;
    let warnings = pattern.warnings(&tried);
    Ok((tried, warnings))
}

/// Warnings stand against saving until they are confirmed.
pub(in crate::api) fn confirmed(confirm: bool, warnings: &[Text]) -> Result<(), Problem> {
    match warnings.first() {
        Some(first) if !confirm => Err(Problem::field(
            "confirm",
            because!(
                "input.confirm",
                "it may silence more than is meant: {warning}; set it to true to save it all the same",
                warning = first.en
            ),
        )),
        _ => Ok(()),
    }
}
