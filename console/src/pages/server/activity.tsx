import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { read } from "../../api";
import type { Login } from "../../contract";
import { formatCountry } from "../../format";
import { useBecause } from "../../parts/because";
import { Mono } from "../../parts/mono";
import { Panel } from "../../parts/panel";
import { ResponseList } from "../../parts/response/list";
import { pagesSource } from "../../parts/source";
import { Loaded, Nothing } from "../../parts/states";
import { type Column, Table } from "../../parts/table";
import { When } from "../../parts/when";
import { useWords } from "../../parts/words";
import { usePrefs } from "../../prefs";
import { ScanItems } from "./scan";

/** `user:admin` as a person says it. */
const who = (actor: string): string => actor.replace(/^user:/, "");

export function Activity({ host }: { host: string }) {
  const { t } = useTranslation();
  return (
    <div className="activity">
      <Panel title={t("server.logins")} className="activity-logins">
        <Logins host={host} />
      </Panel>
      <Panel title={t("server.scans")}>
        <Scans host={host} />
      </Panel>
      <Panel title={t("server.tasks")}>
        <Tasks host={host} />
      </Panel>
    </div>
  );
}

function Logins({ host }: { host: string }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const words = useWords();
  const list = useInfiniteQuery(read.hostLogins(host));
  const columns: Column<Login>[] = [
    { id: "at", title: t("change.at"), width: 112, render: (it) => <When at={it.at} /> },
    {
      id: "user",
      title: t("login.user"),
      width: 130,
      render: (it) => <Mono text={it.user} max={16} />,
    },
    {
      id: "address",
      title: t("login.address"),
      render: (it) => <Mono text={it.address} max={30} />,
    },
    {
      id: "country",
      title: t("login.country"),
      width: 120,
      render: (it) => (it.country ? formatCountry(it.country, language) : "—"),
    },
    { id: "service", title: t("login.service"), width: 90, render: (it) => it.service },
    {
      id: "method",
      title: t("login.method"),
      width: 110,
      render: (it) => (it.method ? words.value("method", it.method) : "—"),
    },
  ];
  return (
    <Table
      name="logins"
      label={t("server.logins")}
      columns={columns}
      source={pagesSource(list)}
      rowKey={(it) => `${it.at} ${it.user} ${it.address} ${it.service}`}
      empty={{ title: t("server.no_logins"), hint: t("server.no_logins_hint") }}
    />
  );
}

/** What the agent was asked to do, or did by itself, the latest first. */
function Tasks({ host }: { host: string }) {
  const { t } = useTranslation();
  const tasks = useInfiniteQuery(read.responses({ host }));
  return (
    <Loaded query={tasks} lines={4}>
      {({ pages }) => {
        const items = pages.flatMap((it) => it.items);
        return items.length === 0 ? (
          <Nothing title={t("server.no_tasks")} hint={t("server.no_tasks_hint")} />
        ) : (
          <>
            <ResponseList responses={items} />
            {tasks.hasNextPage && (
              <Button
                size="small"
                loading={tasks.isFetchingNextPage}
                onClick={() => void tasks.fetchNextPage()}
              >
                {t("part.load_more")}
              </Button>
            )}
          </>
        );
      }}
    </Loaded>
  );
}

function Scans({ host }: { host: string }) {
  const { t } = useTranslation();
  const because = useBecause();
  const scans = useQuery(read.hostScans(host));
  return (
    <Loaded query={scans} lines={4}>
      {({ items }) =>
        items.length === 0 ? (
          <Nothing title={t("server.no_scans")} hint={t("server.scan_hint")} />
        ) : (
          <ol className="scans">
            {items.map((it) => (
              <li key={it.id}>
                <details>
                  <summary>
                    <When at={it.created_at} />
                    <span>
                      {it.refused
                        ? t("scan.refused", { reason: because(it.refused, it.why) })
                        : it.finished_at
                          ? t("scan.finished", { count: it.items.length })
                          : t("scan.waiting")}
                    </span>
                    <span className="muted">{who(it.requested_by)}</span>
                  </summary>
                  <ScanItems scan={it} />
                </details>
              </li>
            ))}
          </ol>
        )
      }
    </Loaded>
  );
}
