// Everything about one finding: in the drawer beside a list and on its own page.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Button } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { read } from "../../api";
import type { Finding, FindingItem, HandleAction } from "../../contract";
import { formatNumber } from "../../format";
import { usePrefs } from "../../prefs";
import { useBecause } from "../because";
import { Facts } from "../facts";
import { HostLink } from "../host-link";
import { Mono } from "../mono";
import { ResponseList } from "../response/list";
import { SeverityMark } from "../severity";
import { Loaded } from "../states";
import { Technique } from "../technique";
import { useText } from "../text";
import { Clock, When } from "../when";
import { useWords } from "../words";
import { EvidenceList } from "./evidence";
import { useHandling, useMayHandle } from "./handle";
import { useActions } from "./handle-dialog";
import { StatusMark, useDecisionName } from "./status";
import { byDay, type Moment, timelineOf } from "./timeline";

const RESPONSES = ["isolate_and_kill", "block_ip"] as const satisfies HandleAction[];

export function FindingDetail({ id }: { id: string }) {
  const finding = useQuery(read.finding(id));
  return (
    <Loaded query={finding} lines={10}>
      {(it) => <Body finding={it} />}
    </Loaded>
  );
}

function Body({ finding }: { finding: Finding }) {
  const { t } = useTranslation();
  const say = useText();
  const words = useWords();
  return (
    <article className="finding">
      <div className="finding-grid">
        <header>
          <div className="finding-marks">
            <SeverityMark severity={finding.severity} />
            <StatusMark finding={finding} />
            {finding.confidence > 0 && (
              <span title={t("finding.confidence_about")}>
                {t("finding.sure", { value: finding.confidence })}
              </span>
            )}
            <span className="muted">{words.category(finding.category)}</span>
          </div>
          <h2>{say(finding.sentence)}</h2>
          <Decide finding={finding} />
        </header>
        <div className="finding-brief">
          {finding.advice && (
            <Part title={t("finding.advice")}>
              <p className="prose">{say(finding.advice)}</p>
            </Part>
          )}
          {finding.why && (
            <Part title={t("finding.why")}>
              <p className="prose">{say(finding.why)}</p>
            </Part>
          )}
        </div>
        <div className="finding-facts">
          <FindingFacts finding={finding} />
        </div>
        <div className="finding-main">
          <Part title={t("finding.evidence")}>
            <EvidenceList evidence={finding.evidence} />
          </Part>
        </div>
        <div className="finding-side">
          <Part title={t("finding.timeline")}>
            <Timeline finding={finding} />
          </Part>
          {finding.responses.length > 0 && (
            <Part title={t("finding.responses")}>
              <ResponseList responses={finding.responses} />
            </Part>
          )}
          {finding.related.length > 0 && (
            <Part title={t("finding.related")}>
              <FindingLinks findings={finding.related} />
            </Part>
          )}
          {finding.history.length > 0 && (
            <Part title={t("finding.history")}>
              <History finding={finding} />
            </Part>
          )}
          {finding.similar.length > 0 && (
            <Part title={t("finding.similar")}>
              <FindingLinks findings={finding.similar} />
            </Part>
          )}
        </div>
      </div>
      <details className="raw">
        <summary>{t("finding.raw")}</summary>
        <pre>{JSON.stringify(finding, null, 2)}</pre>
      </details>
    </article>
  );
}

function FindingFacts({ finding }: { finding: Finding }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const say = useText();
  return (
    <Facts
      facts={[
        { name: t("finding.host"), value: <HostLink host={finding.host} /> },
        { name: t("finding.count"), value: formatNumber(finding.count, language) },
        { name: t("finding.first_at"), value: <When at={finding.first_at} /> },
        { name: t("finding.last_at"), value: <When at={finding.last_at} /> },
        ...(finding.incident
          ? [
              {
                name: t("finding.incident"),
                value: (
                  <Link to="/events" search={{ incident: finding.incident }}>
                    {t("finding.incident_all", { count: finding.related.length + 1 })}
                  </Link>
                ),
              },
            ]
          : []),
        ...(finding.technique
          ? [{ name: t("finding.technique"), value: <Technique id={finding.technique} /> }]
          : []),
        { name: t("finding.subject"), value: <Mono text={finding.subject} max={70} />, wide: true },
        {
          name: t("finding.rule"),
          wide: true,
          value: (
            <>
              {finding.rule_title && say(finding.rule_title)}{" "}
              <Link to="/detections" search={{ open: finding.rule }} className="mono">
                {finding.rule}
              </Link>
            </>
          ),
        },
      ]}
    />
  );
}

function FindingLinks({ findings }: { findings: FindingItem[] }) {
  const say = useText();
  return (
    <ul className="similar">
      {findings.map((it) => (
        <li key={it.id}>
          <SeverityMark severity={it.severity} />
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
  );
}

function Timeline({ finding }: { finding: Finding }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const did = useDecisionName();
  const because = useBecause();
  const tell = (it: Moment): string => {
    switch (it.what) {
      case "first":
        return t("timeline.first");
      case "last":
        return t("timeline.last", { shown: formatNumber(it.count, language) });
      case "started":
        return t("timeline.started", { user: it.user, name: it.executable });
      case "line":
        return t("timeline.line", { text: it.text });
      case "decided": {
        const [what, remark] = [did(it.action), because(it.remark, it.why)];
        const told = it.by ? t("timeline.decided", { by: it.by, what }) : what;
        return remark ? t("timeline.decided_why", { told, remark }) : told;
      }
    }
  };
  return (
    <ol className="timeline">
      {byDay(timelineOf(finding), language).map(([day, moments]) => (
        <li key={day}>
          <span className="timeline-day">{day}</span>
          <ol>
            {moments.map((it) => (
              <li
                key={`${it.at} ${tell(it)}`}
                data-what={it.what}
                data-guilty={(it.what === "started" && it.guilty) || undefined}
              >
                <Clock at={it.at} />
                <span title={tell(it)}>{tell(it)}</span>
              </li>
            ))}
          </ol>
        </li>
      ))}
    </ol>
  );
}

/** What agents can do at once has a button of its own; each shows its plan first. */
function Decide({ finding }: { finding: Finding }) {
  const { t } = useTranslation();
  const { ask, askAll, undo } = useHandling();
  const offered = useActions([finding]);
  if (!useMayHandle()) return null;
  const { id, kind, rule } = finding;
  const responses = RESPONSES.filter((it) => offered.includes(it));
  return (
    <div className="finding-decide">
      {finding.status === "unhandled" && (
        <>
          <Button type="primary" onClick={() => ask([finding])}>
            {t("finding.handle")}
          </Button>
          {responses.map((it) => (
            <Button key={it} danger={it === "isolate_and_kill"} onClick={() => ask([finding], it)}>
              {t(`finding.respond.${it}`)}
            </Button>
          ))}
        </>
      )}
      {finding.handling && <Button onClick={() => undo([id])}>{t("handle.undo")}</Button>}
      <span>
        <Button type="text" onClick={() => askAll({ same_as: id })} title={t("job.same_about")}>
          {t("job.same_button")}
        </Button>
        <Button type="text" onClick={() => askAll({ kind, rule })} title={t("job.kind_about")}>
          {t("job.kind_button")}
        </Button>
      </span>
    </div>
  );
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="finding-part">
      <h3>{title}</h3>
      {children}
    </section>
  );
}

function History({ finding }: { finding: Finding }) {
  const did = useDecisionName();
  const because = useBecause();
  return (
    <ol className="history">
      {finding.history.map((it) => (
        <li key={it.at + it.action}>
          <When at={it.at} />
          <span>{did(it.action)}</span>
          <span className="muted">{it.by}</span>
          {it.remark && <q>{because(it.remark, it.why)}</q>}
        </li>
      ))}
    </ol>
  );
}
