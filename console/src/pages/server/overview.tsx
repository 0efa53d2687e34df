import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { read } from "../../api";
import type { HostDetail } from "../../contract";
import { formatBytes, formatNumber, formatPercent } from "../../format";
import { Op, RowName } from "../../parts/change-list";
import { Facts } from "../../parts/facts";
import { Panel } from "../../parts/panel";
import { SeverityMark } from "../../parts/severity";
import { Loaded, Nothing } from "../../parts/states";
import { useText } from "../../parts/text";
import { Moment, When } from "../../parts/when";
import { usePrefs } from "../../prefs";
import { KINDS } from "../../search";

const LATEST = 8;

export function Overview({ host }: { host: HostDetail }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  return (
    <div className="overview">
      <Panel title={t("server.open")}>
        <ul className="kind-list">
          {KINDS.map((kind) => (
            <li key={kind}>
              <span className="kind-line" data-kind={kind} aria-hidden="true" />
              <Link to="/events" search={{ kind, status: "unhandled", host: host.id }}>
                {t(`kind.${kind}`)}
              </Link>
              <b>{formatNumber(host.counts[kind], language)}</b>
            </li>
          ))}
        </ul>
        <Facts
          facts={[
            { name: t("servers.risk"), value: <b>{Math.round(host.risk)}</b> },
            {
              name: t("server.agent_memory"),
              value: formatBytes(host.usage.resident_bytes, language),
            },
            { name: t("server.agent_cpu"), value: formatPercent(host.usage.cpu_ratio, language) },
            {
              name: t("server.dropped"),
              value: formatNumber(host.telemetry_dropped, language),
            },
            { name: t("server.enrolled"), value: <When at={host.enrolled_at} /> },
            { name: t("server.certificate"), value: <Moment at={host.certificate_expires_at} /> },
          ]}
        />
      </Panel>
      <Panel
        title={t("server.latest")}
        more={
          <Link to="/servers/$host" params={{ host: host.id }} search={{ tab: "events" }}>
            {t("part.all")}
          </Link>
        }
      >
        <LatestFindings host={host.id} />
      </Panel>
      <Panel
        title={t("server.assets")}
        more={
          <Link to="/servers/$host" params={{ host: host.id }} search={{ tab: "changes" }}>
            {t("change.title")}
          </Link>
        }
      >
        <AssetCounts host={host} />
      </Panel>
      <Panel
        title={t("server.changed")}
        className="overview-changes"
        more={
          <Link to="/servers/$host" params={{ host: host.id }} search={{ tab: "changes" }}>
            {t("part.all")}
          </Link>
        }
      >
        <LatestChanges host={host.id} />
      </Panel>
    </div>
  );
}

function LatestFindings({ host }: { host: string }) {
  const { t } = useTranslation();
  const say = useText();
  const latest = useQuery(read.latestFindings({ host, status: "unhandled" }, LATEST));
  return (
    <Loaded query={latest} lines={5}>
      {({ items }) =>
        items.length === 0 ? (
          <Nothing title={t("server.no_open")} hint={t("server.no_open_hint")} />
        ) : (
          <ul className="similar">
            {items.map((it) => (
              <li key={it.id}>
                <SeverityMark severity={it.severity} />
                <Link
                  to="/servers/$host"
                  params={{ host }}
                  search={{ tab: "events", open: it.id }}
                  className="cut"
                  title={say(it.sentence)}
                >
                  {say(it.sentence)}
                </Link>
                <When at={it.last_at} />
              </li>
            ))}
          </ul>
        )
      }
    </Loaded>
  );
}

function AssetCounts({ host }: { host: HostDetail }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const say = useText();
  const kinds = useQuery(read.assetKinds());
  const title = (kind: string) => kinds.data?.items.find((it) => it.spec.kind === kind)?.spec.title;
  if (host.asset_counts.length === 0)
    return <Nothing title={t("asset.no_kinds")} hint={t("server.scan_hint")} />;
  return (
    <ul className="kind-list">
      {host.asset_counts.map(({ kind, rows }) => {
        const name = title(kind);
        return (
          <li key={kind}>
            <Link to="/servers/$host" params={{ host: host.id }} search={{ tab: "assets", kind }}>
              {name ? say(name) : kind}
            </Link>
            <b>{formatNumber(rows, language)}</b>
          </li>
        );
      })}
    </ul>
  );
}

function LatestChanges({ host }: { host: string }) {
  const { t } = useTranslation();
  const say = useText();
  const list = useInfiniteQuery(read.changes({ host }));
  const { data: kinds } = useQuery(read.assetKinds());
  const name = (kind: string) => {
    const spec = kinds?.items.find((it) => it.spec.kind === kind)?.spec;
    return spec ? say(spec.title) : kind;
  };
  return (
    <Loaded query={list} lines={4}>
      {({ pages }) => {
        const items = pages.flatMap((it) => it.items).slice(0, LATEST);
        return items.length === 0 ? (
          <Nothing title={t("change.none")} hint={t("change.none_hint")} />
        ) : (
          <ul className="latest-changes">
            {items.map((it) => (
              <li key={it.id}>
                <Op op={it.op} />
                <span className="muted">{name(it.kind)}</span>
                <RowName change={it} />
                <When at={it.at} />
              </li>
            ))}
          </ul>
        );
      }}
    </Loaded>
  );
}
