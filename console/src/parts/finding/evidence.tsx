// The proof of a finding: each type of evidence in the form a person reads it best.
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { read } from "../../api";
import type { Evidence } from "../../contract";
import { formatCountry, formatSpan } from "../../format";
import { usePrefs } from "../../prefs";
import { AssetValue, plain } from "../asset-value";
import { Facts } from "../facts";
import { Mono } from "../mono";
import { useText } from "../text";
import { Clock, When } from "../when";
import { useWords } from "../words";
import { Origin, originOf } from "./origin";
import { ProcessTree } from "./tree";

type Of<T extends Evidence["type"]> = Extract<Evidence, { type: T }>;

const isA =
  <T extends Evidence["type"]>(type: T) =>
  (it: Evidence): it is Of<T> =>
    it.type === type;

/** The tree first, because it says the most; then single facts, and what the rule met last. */
export function EvidenceList({ evidence }: { evidence: Evidence[] }) {
  const { t } = useTranslation();
  const trees = evidence.filter(isA("processes"));
  const facts = evidence.filter(isA("fact"));
  const matches = evidence.filter(isA("match"));
  const rest = evidence.filter((it) => !["processes", "fact", "match"].includes(it.type));
  const knownBad = matches.some((it) => it.field === "ImageVerdict" && it.value === "malicious");
  return (
    <div className="evidence">
      {trees.map((it) => (
        <section key={JSON.stringify(it)}>
          <h4>{t("evidence.processes")}</h4>
          <ProcessTree chain={it.chain} knownBad={knownBad} />
        </section>
      ))}
      {facts.length > 0 && <FactList facts={facts} />}
      {rest.map((it) => (
        <section key={JSON.stringify(it)}>
          <h4>{t(`evidence.${it.type}`)}</h4>
          <One evidence={it} />
        </section>
      ))}
      {matches.length > 0 && (
        <section>
          <h4>{t("evidence.match")}</h4>
          <Matches matches={matches} />
        </section>
      )}
    </div>
  );
}

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
    case "connection":
      return <Connection evidence={evidence} />;
    case "change":
      return <Change evidence={evidence} />;
    case "processes":
    case "match":
    case "fact":
      return null;
  }
}

const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/;

function FactList({ facts }: { facts: Of<"fact">[] }) {
  const { language } = usePrefs();
  const words = useWords();
  const shown = (it: Of<"fact">) => {
    if (typeof it.value === "string" && TIMESTAMP.test(it.value)) return <When at={it.value} />;
    // Units stand last in names.
    if (typeof it.value === "number" && it.name.endsWith("_s"))
      return formatSpan(it.value, language);
    return words.value(it.name, plain(it.value));
  };
  return <Facts facts={facts.map((it) => ({ name: words.fact(it.name), value: shown(it) }))} />;
}

function LogLines({ evidence }: { evidence: Of<"log_lines"> }) {
  const { t } = useTranslation();
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
            <Clock at={line.at} />
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
  const words = useWords();
  const facts = [
    { name: t("login.address"), value: <Mono text={evidence.address} /> },
    { name: t("login.user"), value: <Mono text={evidence.user} /> },
    { name: t("login.service"), value: evidence.service },
  ];
  if (evidence.country)
    facts.push({ name: t("login.country"), value: formatCountry(evidence.country, language) });
  if (evidence.method)
    facts.push({ name: t("login.method"), value: words.value("method", evidence.method) });
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
  facts.push({
    name: t("evidence.package"),
    value: (
      <Origin
        origin={originOf(evidence, false)}
        {...(evidence.package && { name: evidence.package })}
      />
    ),
  });
  return <Facts facts={facts} />;
}

function Connection({ evidence }: { evidence: Of<"connection"> }) {
  const { t } = useTranslation();
  return (
    <Facts
      facts={[
        { name: t("evidence.protocol"), value: evidence.protocol.toUpperCase() },
        {
          name: t("evidence.direction"),
          value: t(evidence.initiated ? "evidence.outbound" : "evidence.inbound"),
        },
        { name: t("evidence.local"), value: <Mono text={evidence.local} /> },
        { name: t("evidence.remote"), value: <Mono text={evidence.remote} /> },
      ]}
    />
  );
}

/** As a diff: signs and colours; both say the same. */
function Change({ evidence }: { evidence: Of<"change"> }) {
  const { t } = useTranslation();
  const lines = (["removed", "added"] as const).flatMap((side) =>
    evidence[side].map((text, index) => ({ side, text, id: `${side} ${index}` })),
  );
  return (
    <figure className="log">
      <figcaption>
        <Mono text={evidence.path} />
      </figcaption>
      <ol className="patch">
        {lines.map((it) => (
          <li key={it.id} data-side={it.side}>
            <span title={t(`evidence.${it.side}`)}>{it.side === "added" ? "+" : "−"}</span>
            <code>{it.text || " "}</code>
          </li>
        ))}
      </ol>
      {evidence.omitted > 0 && (
        <p className="muted">{t("evidence.lines_left_out", { count: evidence.omitted })}</p>
      )}
    </figure>
  );
}

function Matches({ matches }: { matches: Of<"match">[] }) {
  const { t } = useTranslation();
  const words = useWords();
  return (
    <table className="matches">
      <thead>
        <tr>
          <th scope="col">{t("evidence.match_field")}</th>
          <th scope="col">{t("evidence.match_value")}</th>
          <th scope="col">{t("evidence.match_rule")}</th>
        </tr>
      </thead>
      <tbody>
        {matches.map((it) => (
          <tr key={`${it.field} ${it.pattern ?? ""}`}>
            <td title={it.field}>{words.field(it.field)}</td>
            <td className="mono">
              {Array.isArray(it.value) ? it.value.map(plain).join(", ") : plain(it.value)}
            </td>
            <td className="mono muted">{it.pattern ?? "—"}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Asset({ evidence }: { evidence: Of<"asset"> }) {
  const say = useText();
  const { data } = useQuery(read.assetKinds());
  const columns = data?.items.find((it) => it.spec.kind === evidence.kind)?.spec.columns;
  const facts = Object.entries(evidence.row).map(([name, value]) => {
    const column = columns?.find((it) => it.name === name);
    return {
      name: column ? say(column.title) : name,
      value: <AssetValue name={name} value={value} form={column?.form ?? "text"} max={60} />,
    };
  });
  return <Facts facts={facts} />;
}
