import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Drawer } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { read } from "../../api";
import type { Dashboard, DeductionReason, FindingKind } from "../../contract";
import { formatNumber } from "../../format";
import { SeverityShape } from "../../parts/severity";
import { usePrefs } from "../../prefs";
import { KINDS, SEVERITIES } from "../../search";

const GOOD_FROM = 90;
const FAIR_FROM = 70;

export function Cards({ dashboard }: { dashboard: Dashboard }) {
  const { t } = useTranslation();
  const { data: rules } = useQuery(read.rules());
  const checked = (kind: FindingKind) => !rules || rules.items.some((it) => it.kind === kind);
  return (
    <div className="cards">
      {dashboard.protection.total > 0 ? (
        <ScoreCard score={dashboard.score} />
      ) : (
        <BlankCard title={t("dashboard.score")} why={t("servers.none")} />
      )}
      {KINDS.map((kind) => {
        const risk = dashboard.risks.find((it) => it.kind === kind);
        return checked(kind) || (risk?.open ?? 0) > 0 ? (
          <RiskCard key={kind} kind={kind} risk={risk} />
        ) : (
          <BlankCard key={kind} title={t(`kind.${kind}`)} why={t("dashboard.unchecked")} />
        );
      })}
    </div>
  );
}

function RiskCard({
  kind,
  risk,
}: {
  kind: FindingKind;
  risk: Dashboard["risks"][number] | undefined;
}) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const open = risk?.open ?? 0;
  return (
    <div className="card" data-kind={kind}>
      <Link to="/events" search={{ kind, status: "unhandled" }} className="card-door">
        <span className="card-title">{t(`kind.${kind}`)}</span>
        <span className="card-number">
          {formatNumber(open, language)}
          {risk && open > 0 && (
            <small>
              {t("asset.on_hosts", {
                count: risk.hosts,
                hosts: formatNumber(risk.hosts, language),
              })}
            </small>
          )}
        </span>
      </Link>
      <span className="card-foot">
        {risk && open > 0
          ? SEVERITIES.filter((it) => risk.by_severity[it] > 0).map((severity) => (
              <Link
                key={severity}
                to="/events"
                search={{ kind, severity, status: "unhandled" }}
                aria-label={t("dashboard.of_severity", {
                  count: risk.by_severity[severity],
                  severity: t(`severity.${severity}`),
                })}
                title={t(`severity.${severity}`)}
              >
                <SeverityShape severity={severity} />
                {formatNumber(risk.by_severity[severity], language)}
              </Link>
            ))
          : t("dashboard.none_open")}
      </span>
    </div>
  );
}

/** Nothing was looked at: neither a zero, a hundred nor green would be honest. */
function BlankCard({ title, why }: { title: string; why: string }) {
  return (
    <div className="card" data-kind="none">
      <span className="card-title">{title}</span>
      <span className="card-number muted">—</span>
      <span className="card-foot muted">{why}</span>
    </div>
  );
}

function ScoreCard({ score }: { score: Dashboard["score"] }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const [open, setOpen] = useState(false);
  const grade = score.value >= GOOD_FROM ? "good" : score.value >= FAIR_FROM ? "fair" : "poor";
  return (
    <div className="card card-score" data-grade={grade}>
      <button type="button" className="card-door" onClick={() => setOpen(true)}>
        <span className="card-title">{t("dashboard.score")}</span>
        <span className="card-number">
          {score.value}
          <small>{t("dashboard.of_hundred")}</small>
        </span>
      </button>
      <span className="card-foot muted">
        {score.deductions.length === 0
          ? t("dashboard.no_deductions")
          : t("dashboard.deductions", { count: score.deductions.length })}
      </span>
      <Drawer
        open={open}
        size={480}
        onClose={() => setOpen(false)}
        title={t("dashboard.score_title", { score: score.value })}
      >
        <p className="muted">{t("dashboard.score_about")}</p>
        <ol className="deductions">
          {score.deductions.map((it) => (
            <li key={`${it.reason_code} ${it.kind ?? ""}`}>
              <b>−{formatNumber(it.points, language)}</b>
              <Reason deduction={it} onOpen={() => setOpen(false)} />
            </li>
          ))}
        </ol>
      </Drawer>
    </div>
  );
}

const SEVERITY_OF: Partial<Record<DeductionReason, (typeof SEVERITIES)[number]>> = {
  critical_findings: "critical",
  high_findings: "high",
  medium_findings: "medium",
  low_findings: "low",
};

interface ReasonProps {
  deduction: Dashboard["score"]["deductions"][number];
  onOpen: () => void;
}

/** One deduction, and the list that wins it back. */
function Reason({ deduction, onOpen }: ReasonProps) {
  const { t } = useTranslation();
  const { count, kind, reason_code } = deduction;
  const severity = SEVERITY_OF[reason_code];
  if (severity && kind)
    return (
      <Link to="/events" search={{ kind, severity, status: "unhandled" }} onClick={onOpen}>
        {t("dashboard.deduct.findings", {
          count,
          severity: t(`severity.${severity}`),
          kind: t(`kind.${kind}`),
        })}
      </Link>
    );
  const protection = reason_code === "degraded_hosts" ? "degraded" : "unprotected";
  return (
    <Link to="/servers" search={{ protection }} onClick={onOpen}>
      {t(`dashboard.deduct.${protection}`, { count })}
    </Link>
  );
}
