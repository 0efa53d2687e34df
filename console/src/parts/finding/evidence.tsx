// The proof of a finding: each type of evidence in the form a person reads it best.
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { read } from "../../api";
import type { Evidence } from "../../contract";
import { formatClock, formatCountry, formatExact } from "../../format";
import { usePrefs } from "../../prefs";
import { AssetValue, plain } from "../asset-value";
import { Facts } from "../facts";
import { Mono } from "../mono";
import { useText } from "../text";
import { When } from "../when";

export function EvidenceList({ evidence }: { evidence: Evidence[] }) {
  const { t } = useTranslation();
  const facts = evidence.filter((it) => it.type === "fact");
  const rest = evidence.filter((it) => it.type !== "fact");
  return (
    <div className="evidence">
      {facts.length > 0 && (
        <Facts
          facts={facts.map((it) => ({
            name: it.name.replaceAll("_", " "),
            value: <span className="mono">{plain(it.value)}</span>,
          }))}
        />
      )}
      {rest.map((it) => (
        <section key={JSON.stringify(it)}>
          <h4>{t(`evidence.${it.type}`)}</h4>
          <One evidence={it} />
        </section>
      ))}
    </div>
  );
}

type Of<T extends Evidence["type"]> = Extract<Evidence, { type: T }>;

function One({ evidence }: { evidence: Evidence }) {
  switch (evidence.type) {
    case "log_lines":
      return <LogLines evidence={evidence} />;
    case "login":
      return <Login evidence={evidence} />;
    case "file":
      return <File evidence={evidence} />;
    case "asset":
      return <Asset evidence={evidence} />;
    case "processes":
      return <Processes evidence={evidence} />;
    case "connection":
      return <Connection evidence={evidence} />;
    case "change":
      return <Change evidence={evidence} />;
    case "match":
      return <Match evidence={evidence} />;
    case "fact":
      return null;
  }
}

function LogLines({ evidence }: { evidence: Of<"log_lines"> }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  return (
    <figure className="log">
      <figcaption>
        <Mono text={evidence.source} />
      </figcaption>
      {evidence.omitted > 0 && (
        <p className="muted">{t("evidence.omitted", { count: evidence.omitted })}</p>
      )}
      <ol>
        {evidence.lines.map((line) => (
          <li key={line.at + line.text}>
            <time dateTime={line.at} title={formatExact(Date.parse(line.at), language)}>
              {formatClock(Date.parse(line.at), language)}
            </time>
            <code>{line.text}</code>
          </li>
        ))}
      </ol>
    </figure>
  );
}

function Login({ evidence }: { evidence: Of<"login"> }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const facts = [
    { name: t("login.address"), value: <Mono text={evidence.address} /> },
    { name: t("login.user"), value: <Mono text={evidence.user} /> },
    { name: t("login.service"), value: evidence.service },
  ];
  if (evidence.country)
    facts.push({ name: t("login.country"), value: formatCountry(evidence.country, language) });
  if (evidence.method) facts.push({ name: t("login.method"), value: evidence.method });
  if (evidence.key_fingerprint)
    facts.push({ name: t("login.key"), value: <Mono text={evidence.key_fingerprint} max={40} /> });
  return <Facts facts={facts} />;
}

function File({ evidence }: { evidence: Of<"file"> }) {
  const { t } = useTranslation();
  const facts = [
    {
      name: evidence.line ? t("evidence.path_line", { line: evidence.line }) : t("evidence.path"),
      value: <Mono text={evidence.path} />,
    },
  ];
  if (evidence.text) facts.push({ name: t("evidence.text"), value: <code>{evidence.text}</code> });
  if (evidence.sha256)
    facts.push({ name: "SHA-256", value: <Mono text={evidence.sha256} max={40} /> });
  facts.push({ name: t("evidence.package"), value: <Package name={evidence.package} /> });
  return <Facts facts={facts} />;
}

function Connection({ evidence }: { evidence: Of<"connection"> }) {
  const { t } = useTranslation();
  return (
    <Facts
      facts={[
        { name: t("evidence.protocol"), value: evidence.protocol },
        { name: t("evidence.local"), value: <Mono text={evidence.local} /> },
        { name: t("evidence.remote"), value: <Mono text={evidence.remote} /> },
        {
          name: t("evidence.direction"),
          value: t(evidence.initiated ? "evidence.outbound" : "evidence.inbound"),
        },
      ]}
    />
  );
}

function Change({ evidence }: { evidence: Of<"change"> }) {
  const { t } = useTranslation();
  return (
    <figure className="log">
      <figcaption>
        <Mono text={evidence.path} />
      </figcaption>
      <pre>
        {evidence.removed.map((line) => `- ${line}\n`)}
        {evidence.added.map((line) => `+ ${line}\n`)}
      </pre>
      {evidence.omitted > 0 && (
        <p className="muted">{t("evidence.omitted", { count: evidence.omitted })}</p>
      )}
    </figure>
  );
}

function Match({ evidence }: { evidence: Of<"match"> }) {
  const { t } = useTranslation();
  const facts = [
    { name: evidence.field, value: <span className="mono">{plain(evidence.value)}</span> },
  ];
  if (evidence.pattern)
    facts.push({ name: t("evidence.pattern"), value: <code>{evidence.pattern}</code> });
  return <Facts facts={facts} />;
}

function Asset({ evidence }: { evidence: Of<"asset"> }) {
  const say = useText();
  const { data } = useQuery(read.assetKinds());
  const columns = data?.items.find((it) => it.spec.kind === evidence.kind)?.spec.columns;
  const facts = Object.entries(evidence.row).map(([name, value]) => {
    const column = columns?.find((it) => it.name === name);
    return {
      name: column ? say(column.title) : name,
      value: <AssetValue value={value} form={column?.form ?? "text"} max={60} />,
    };
  });
  return <Facts facts={facts} />;
}

/** Drawn from the oldest ancestor down to the guilty process, which stands first in the data. */
function Processes({ evidence }: { evidence: Of<"processes"> }) {
  const { t } = useTranslation();
  const chain = evidence.chain.toReversed();
  return (
    <ol className="process-chain">
      {chain.map((it, depth) => (
        <li
          key={`${it.pid} ${it.started_at}`}
          style={{ marginInlineStart: depth * 18 }}
          data-guilty={depth === chain.length - 1 || undefined}
        >
          <div>
            <Mono text={it.executable} />
            <span className="muted">
              {t("evidence.process", { pid: it.pid, user: it.user })} · <When at={it.started_at} />
            </span>
            <Package name={it.package} />
          </div>
          <code>{it.command}</code>
          {it.sha256 && <Mono text={it.sha256} max={28} />}
        </li>
      ))}
    </ol>
  );
}

function Package({ name }: { name: string | null | undefined }) {
  const { t } = useTranslation();
  if (name) return <span className="mono">{name}</span>;
  return <span className="muted">{t("evidence.no_package")}</span>;
}
