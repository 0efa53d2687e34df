// One rule in full, and the switches that say where it is on.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { App, Segmented, Switch } from "antd";
import { useId } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../api";
import type { Detection, RuleSwitch, Text } from "../../contract";
import { formatNumber, formatPercent } from "../../format";
import { Facts } from "../../parts/facts";
import { useMay } from "../../parts/permission";
import { useProblemText } from "../../parts/problem";
import { SeverityMark } from "../../parts/severity";
import { Loaded } from "../../parts/states";
import { Technique } from "../../parts/technique";
import { useText } from "../../parts/text";
import { useWords } from "../../parts/words";
import { usePrefs } from "../../prefs";

/** What it found in 30 days: a door to it. */
export function RuleHits({ detection }: { detection: Detection }) {
  const { language } = usePrefs();
  if (detection.found_30d === 0) return <span className="muted">0</span>;
  return (
    <Link to="/events" search={{ rule: detection.id, span: "30d" }}>
      {formatNumber(detection.found_30d, language)}
    </Link>
  );
}

export function RuleSwitchMark({ state }: { state: "on" | "off" | "mixed" }) {
  const { t } = useTranslation();
  const known = { on: "active", off: "missing", mixed: "degraded" } as const;
  return (
    <span className="capability" data-state={known[state]}>
      <span className="host-state-dot" aria-hidden="true" />
      {t(`detection.state.${state}`)}
    </span>
  );
}

export function DetectionDetail({ detection }: { detection: Detection }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const say = useText();
  const words = useWords();
  const it = detection;
  return (
    <article className="finding">
      <header>
        <div className="finding-marks">
          <SeverityMark severity={it.severity} />
          <span className="muted">{words.category(it.category)}</span>
          <span className="muted">{t(`detection.maturity.${it.maturity}`)}</span>
        </div>
      </header>
      <Facts
        facts={[
          { name: t("finding.rule"), value: <span className="mono">{it.id}</span> },
          { name: t("detection.says"), value: say(it.sentence) },
          ...(it.techniques.length > 0
            ? [
                {
                  name: t("finding.technique"),
                  value: (
                    <span className="wrap">
                      {it.techniques.map((one) => (
                        <Technique key={one} id={one} />
                      ))}
                    </span>
                  ),
                },
              ]
            : []),
          {
            name: t("detection.cases"),
            value: t("detection.proof", {
              fire: formatNumber(it.cases_fire, language),
              quiet: formatNumber(it.cases_quiet, language),
            }),
          },
          { name: t("detection.hits"), value: <RuleHits detection={it} /> },
          {
            name: t("detection.false_alarms"),
            value:
              it.false_alarm_rate === null
                ? t("detection.nothing_found")
                : t("detection.rate", {
                    rate: formatPercent(it.false_alarm_rate, language),
                    dismissed: formatNumber(it.dismissed_30d, language),
                  }),
          },
          {
            name: t("detection.offers"),
            value: it.actions.map((one) => t(`handle.action.${one}`)).join(t("part.comma")),
          },
        ]}
      />
      <Switches detection={it} />
      <Prose title={t("finding.why")} texts={[it.why]} />
      <Prose title={t("finding.advice")} texts={[it.advice]} />
      <Prose title={t("detection.known_false_alarms")} texts={it.false_alarms} />
      <Prose title={t("detection.blind_spots")} texts={it.blind_spots} />
      <Cases detection={it} />
    </article>
  );
}

function Prose({ title, texts }: { title: string; texts: Text[] }) {
  const say = useText();
  if (texts.length === 0) return null;
  return (
    <section className="finding-part">
      <h3>{title}</h3>
      {texts.map((it) => (
        <p key={it.en} className="prose">
          {say(it)}
        </p>
      ))}
    </section>
  );
}

/** By name, in the language of the rule's files. */
function Cases({ detection }: { detection: Detection }) {
  const { t } = useTranslation();
  return (
    <details className="rule-cases">
      <summary>{t("detection.all_cases", { count: detection.cases.length })}</summary>
      {([true, false] as const).map((fires) => (
        <section key={String(fires)}>
          <h4>{t(fires ? "detection.must_fire" : "detection.must_not")}</h4>
          <ul>
            {detection.cases
              .filter((it) => it.fires === fires)
              .map((it) => (
                <li key={it.name} lang="en">
                  {it.name}
                </li>
              ))}
          </ul>
        </section>
      ))}
    </details>
  );
}

function Switches({ detection }: { detection: Detection }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const say = useProblemText();
  const may = useMay();
  const id = useId();
  const queries = useQueryClient();
  const groups = useQuery(read.groups());
  const change = useMutation({
    mutationFn: ({ state, group }: { state: RuleSwitch; group?: string }) =>
      act.switchDetection(detection.id, state, group),
    onSuccess: () => void message.success(t("policy.saved")),
    onError: (error) => void message.error(say(error)),
    onSettled: () =>
      queries.invalidateQueries({
        predicate: ({ queryKey }) => /^\/(detections|policy)/.test(String(queryKey[0])),
      }),
  });
  const locked = !may("manage_policy");
  const own = (group: string): RuleSwitch =>
    detection.groups_on.includes(group)
      ? "on"
      : detection.groups_off.includes(group)
        ? "off"
        : "inherit";
  return (
    <section className="finding-part">
      <h3>{t("detection.where")}</h3>
      <div className="rule-switch">
        <label htmlFor={id}>{t("detection.everywhere")}</label>
        <Switch
          id={id}
          disabled={locked}
          loading={change.isPending}
          checked={detection.on}
          onChange={(on) => change.mutate({ state: on ? "on" : "off" })}
        />
      </div>
      <Loaded query={groups} lines={2}>
        {({ items }) =>
          items.map((it) => (
            <div className="rule-switch" key={it.id}>
              <span className="cut" title={it.name}>
                {it.name}
              </span>
              <Segmented<RuleSwitch>
                size="small"
                aria-label={t("detection.in_group", { name: it.name })}
                disabled={locked || change.isPending}
                value={own(it.id)}
                options={(["inherit", "on", "off"] as const).map((state) => ({
                  value: state,
                  label: t(`detection.switch.${state}`),
                }))}
                onChange={(state) => change.mutate({ state, group: it.id })}
              />
            </div>
          ))
        }
      </Loaded>
    </section>
  );
}
