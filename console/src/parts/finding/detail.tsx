// Everything about one finding: in the drawer beside a list and on its own page.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Button } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { read } from "../../api";
import type { Finding } from "../../contract";
import { formatNumber } from "../../format";
import { usePrefs } from "../../prefs";
import { Facts } from "../facts";
import { HostLink } from "../host-link";
import { Mono } from "../mono";
import { SeverityMark } from "../severity";
import { Loaded } from "../states";
import { useText } from "../text";
import { When } from "../when";
import { EvidenceList } from "./evidence";
import { useHandling, useMayHandle } from "./handle";
import { StatusMark } from "./status";
import { useCategoryName } from "./words";

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
  const { language } = usePrefs();
  const say = useText();
  const category = useCategoryName();
  return (
    <article className="finding">
      <header>
        <div className="finding-marks">
          <SeverityMark severity={finding.severity} />
          <StatusMark finding={finding} />
          <span className="muted">{category(finding.category)}</span>
        </div>
        <h2>{say(finding.sentence)}</h2>
        <Decide finding={finding} />
      </header>
      <Facts
        facts={[
          { name: t("finding.host"), value: <HostLink host={finding.host} /> },
          { name: t("finding.subject"), value: <Mono text={finding.subject} max={70} /> },
          { name: t("finding.count"), value: formatNumber(finding.count, language) },
          { name: t("finding.first_at"), value: <When at={finding.first_at} /> },
          { name: t("finding.last_at"), value: <When at={finding.last_at} /> },
          {
            name: t("finding.rule"),
            value: (
              <>
                {finding.rule_title && say(finding.rule_title)} <Mono text={finding.rule} />
              </>
            ),
          },
          ...(finding.technique
            ? [{ name: t("finding.technique"), value: <Technique id={finding.technique} /> }]
            : []),
        ]}
      />
      {finding.why && (
        <Part title={t("finding.why")}>
          <p className="prose">{say(finding.why)}</p>
        </Part>
      )}
      <Part title={t("finding.evidence")}>
        <EvidenceList evidence={finding.evidence} />
      </Part>
      {finding.advice && (
        <Part title={t("finding.advice")}>
          <p className="prose">{say(finding.advice)}</p>
        </Part>
      )}
      {finding.history.length > 0 && (
        <Part title={t("finding.history")}>
          <History finding={finding} />
        </Part>
      )}
      {finding.similar.length > 0 && (
        <Part title={t("finding.similar")}>
          <ul className="similar">
            {finding.similar.map((it) => (
              <li key={it.id}>
                <SeverityMark severity={it.severity} />
                <Link to="/events/$finding" params={{ finding: it.id }} className="cut">
                  {say(it.sentence)}
                </Link>
                <When at={it.last_at} />
              </li>
            ))}
          </ul>
        </Part>
      )}
      <details className="raw">
        <summary>{t("finding.raw")}</summary>
        <pre>{JSON.stringify(finding, null, 2)}</pre>
      </details>
    </article>
  );
}

function Decide({ finding }: { finding: Finding }) {
  const { t } = useTranslation();
  const { ask, undo } = useHandling();
  if (!useMayHandle()) return null;
  if (finding.status === "unhandled")
    return (
      <Button type="primary" onClick={() => ask([finding])}>
        {t("finding.handle")}
      </Button>
    );
  if (finding.handling)
    return <Button onClick={() => undo([finding.id])}>{t("handle.undo")}</Button>;
  return null;
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
  const { t, i18n } = useTranslation();
  return (
    <ol className="history">
      {finding.history.map((it) => (
        <li key={it.at + it.action}>
          <When at={it.at} />
          <span>
            {i18n.exists(`handled.${it.action}`)
              ? t(`handled.${it.action}` as "handled.ignore")
              : it.action}
          </span>
          <span className="muted">{it.by}</span>
          {it.remark && <q>{it.remark}</q>}
        </li>
      ))}
    </ol>
  );
}

function Technique({ id }: { id: string }) {
  return (
    <a
      href={`https://attack.mitre.org/techniques/${id.replace(".", "/")}/`}
      target="_blank"
      rel="noreferrer"
    >
      {id}
    </a>
  );
}
