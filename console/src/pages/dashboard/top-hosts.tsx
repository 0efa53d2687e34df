import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import type { Dashboard } from "../../contract";
import { formatNumber } from "../../format";
import { HostLink } from "../../parts/host-link";
import { Panel } from "../../parts/panel";
import { Nothing } from "../../parts/states";
import { usePrefs } from "../../prefs";
import { KINDS } from "../../search";

/** The servers with the most weight of unhandled findings, and what it is made of. */
export function TopHosts({ hosts }: { hosts: Dashboard["top_hosts"] }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const most = Math.max(1, ...hosts.map((it) => it.risk));
  return (
    <Panel title={t("dashboard.top_hosts")} className="board-top">
      {hosts.length === 0 ? (
        <Nothing title={t("dashboard.no_top")} />
      ) : (
        <ol className="top-hosts">
          {hosts.map((it) => (
            <li key={it.host.id}>
              <HostLink host={it.host} />
              <span className="top-hosts-why">
                {KINDS.filter((kind) => it.counts[kind] > 0).map((kind) => (
                  <Link
                    key={kind}
                    to="/events"
                    search={{ kind, status: "unhandled", host: it.host.id }}
                    title={t(`kind.${kind}`)}
                    aria-label={t("servers.count_label", {
                      count: it.counts[kind],
                      kind: t(`kind.${kind}`),
                    })}
                  >
                    <span className="kind-line" data-kind={kind} aria-hidden="true" />
                    {formatNumber(it.counts[kind], language)}
                  </Link>
                ))}
              </span>
              <b>{Math.round(it.risk)}</b>
              <span className="bar" aria-hidden="true">
                <span style={{ width: `${(it.risk / most) * 100}%` }} />
              </span>
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
}
