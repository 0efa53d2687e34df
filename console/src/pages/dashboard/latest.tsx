import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { read } from "../../api";
import { useLive } from "../../live";
import { useHandling, useMayHandle } from "../../parts/finding/handle";
import { StatusMark } from "../../parts/finding/status";
import { HostLink } from "../../parts/host-link";
import { Panel } from "../../parts/panel";
import { SeverityMark } from "../../parts/severity";
import { Loaded, Nothing } from "../../parts/states";
import { useText } from "../../parts/text";
import { useNow, When } from "../../parts/when";

const SHOWN = 5;
const DAY_MS = 86_400_000;
const SINCE_STEP_MS = 600_000;

/** The five latest unhandled intrusions of 24 hours; it waits while the mouse is over it. */
export function Latest() {
  const { t } = useTranslation();
  const say = useText();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const { ask } = useHandling();
  const mayHandle = useMayHandle();
  const [held, setHeld] = useState(false);
  const [waiting, setWaiting] = useState<ReadonlySet<string>>(new Set());
  const since = new Date(
    Math.floor(useNow() / SINCE_STEP_MS) * SINCE_STEP_MS - DAY_MS,
  ).toISOString();
  const query = read.latestFindings({ kind: "alarm", status: "unhandled", since }, SHOWN);
  const latest = useQuery({ ...query, placeholderData: (before) => before });
  const refresh = () => {
    setWaiting(new Set());
    void queries.invalidateQueries({ queryKey: query.queryKey });
  };

  useLive("finding", ({ item }) => {
    const shown = latest.data?.items.some((it) => it.id === item.id) ?? false;
    if (item.kind !== "alarm" || (item.status !== "unhandled" && !shown)) return;
    if (!held || shown) refresh();
    else setWaiting((before) => new Set(before).add(item.id));
  });

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the mouse only holds the list still
    <div
      className="board-latest"
      onMouseEnter={() => setHeld(true)}
      onMouseLeave={() => {
        setHeld(false);
        if (waiting.size > 0) refresh();
      }}
    >
      <Panel
        title={t("dashboard.latest")}
        more={
          <span className="latest-more">
            {waiting.size > 0 && (
              <Button size="small" onClick={refresh}>
                {t("events.fresh", { count: waiting.size })}
              </Button>
            )}
            <Link to="/events" search={{ kind: "alarm", status: "unhandled", span: "24h" }}>
              {t("part.all")}
            </Link>
          </span>
        }
      >
        <Loaded query={latest} lines={5}>
          {({ items }) =>
            items.length === 0 ? (
              <Nothing title={t("dashboard.quiet")} hint={t("dashboard.no_intrusions_hint")} />
            ) : (
              <ul className="latest">
                {items.map((it) => (
                  <li key={it.id}>
                    <SeverityMark severity={it.severity} />
                    <Link
                      to="/events"
                      search={{ kind: "alarm", status: "unhandled", open: it.id }}
                      className="cut"
                      title={say(it.sentence)}
                    >
                      {say(it.sentence)}
                    </Link>
                    <HostLink host={it.host} />
                    <span className="muted">
                      <When at={it.last_at} />
                    </span>
                    <StatusMark finding={it} />
                    {mayHandle ? (
                      <Button size="small" onClick={() => ask([it])}>
                        {t("finding.handle")}
                      </Button>
                    ) : (
                      <Button
                        size="small"
                        onClick={() =>
                          void navigate({ to: "/events/$finding", params: { finding: it.id } })
                        }
                      >
                        {t("part.open")}
                      </Button>
                    )}
                  </li>
                ))}
              </ul>
            )
          }
        </Loaded>
      </Panel>
    </div>
  );
}
