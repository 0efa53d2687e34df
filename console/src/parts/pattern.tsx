// What an entry of the alarm whitelist keeps quiet, and what it would have kept quiet.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Alert, Input, Select } from "antd";
import { useDeferredValue } from "react";
import { useTranslation } from "react-i18next";
import { read } from "../api";
import type { AlarmPattern } from "../contract";
import { formatNumber } from "../format";
import { usePrefs } from "../prefs";
import { Failed } from "./states";
import { useText } from "./text";
import { When } from "./when";
import { useWords } from "./words";

const JUDGES = ["equals", "contains", "cidr"] as const;
const SHOWN_MAX = 5;
const VALUE_MAX = 512;

interface EditorProps {
  pattern: AlarmPattern;
  /** Fields with the value of the alarm at hand; choosing a field fills its value in. */
  values: Record<string, string>;
  onChange: (pattern: AlarmPattern) => void;
}

export function PatternEditor({ pattern, values, onChange }: EditorProps) {
  const { t } = useTranslation();
  const words = useWords();
  const label = (it: string) => (it === "subject" ? t("finding.subject") : words.fact(it));
  return (
    <div className="pattern">
      <Select
        aria-label={t("whitelist.field")}
        showSearch={{ optionFilterProp: "label" }}
        value={pattern.field}
        options={Object.keys(values).map((it) => ({ value: it, label: label(it) }))}
        onChange={(field: string) =>
          onChange({ ...pattern, field, value: values[field] ?? pattern.value })
        }
      />
      <Select
        aria-label={t("whitelist.judge")}
        value={pattern.judge}
        options={JUDGES.map((it) => ({ value: it, label: t(`whitelist.judges.${it}`) }))}
        onChange={(judge) => onChange({ ...pattern, judge })}
      />
      <Input
        aria-label={t("whitelist.value")}
        placeholder={t("whitelist.value")}
        maxLength={VALUE_MAX}
        value={pattern.value}
        onChange={(event) => onChange({ ...pattern, value: event.target.value })}
      />
    </div>
  );
}

interface DryRunProps {
  pattern: AlarmPattern;
  /** Where a plan below tells them, they are not told here. */
  withWarnings: boolean;
}

/** Asked of the server while the person types; nothing is saved by it. */
export function DryRunView({ pattern, withWarnings }: DryRunProps) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const say = useText();
  const asked = useDeferredValue(pattern);
  const ready = asked.field.trim() !== "" && asked.value.trim() !== "";
  const run = useQuery({
    ...read.dryRun(asked),
    enabled: ready,
    placeholderData: (before) => before,
  });
  if (!ready) return <p className="muted">{t("whitelist.dry_run_hint")}</p>;
  if (run.error) return <Failed error={run.error} onRetry={() => void run.refetch()} />;
  if (!run.data) return <p className="muted">{t("state.loading")}</p>;
  const { looked_at, silenced, hosts, complete, findings, warnings } = run.data;
  return (
    <div className="dry-run" data-stale={run.isPlaceholderData || undefined}>
      <p>
        {t("whitelist.dry_run", {
          silenced: formatNumber(silenced, language),
          looked_at: formatNumber(looked_at, language),
          hosts: t("dashboard.servers", { count: hosts, shown: formatNumber(hosts, language) }),
        })}{" "}
        {!complete && <span className="muted">{t("whitelist.dry_run_partial")}</span>}
      </p>
      {withWarnings &&
        warnings.map((it) => <Alert key={it.en} type="warning" showIcon title={say(it)} />)}
      <ul>
        {findings.slice(0, SHOWN_MAX).map((it) => (
          <li key={it.id}>
            <Link
              to="/events/$finding"
              params={{ finding: it.id }}
              className="cut"
              title={say(it.sentence)}
            >
              {say(it.sentence)}
            </Link>
            <When at={it.last_at} />
          </li>
        ))}
      </ul>
    </div>
  );
}
