import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { read } from "../../api";
import type { Decision } from "../../contract";
import { useHandling, useMayHandle } from "../../parts/finding/handle";
import { JobList } from "../../parts/finding/job-progress";
import { useDecisionName } from "../../parts/finding/status";
import { HostLink } from "../../parts/host-link";
import { HostFilter } from "../../parts/host-pick";
import { Pick } from "../../parts/pick";
import { SeverityMark } from "../../parts/severity";
import { pagesSource } from "../../parts/source";
import { type Column, Table } from "../../parts/table";
import { useText } from "../../parts/text";
import { TextFilter } from "../../parts/text-filter";
import { When } from "../../parts/when";
import { DECISIONS, type Edit, edited, KINDS, type ResponseSearch } from "../../search";

const route = getRouteApi("/frame/response/$section");

/** What people decided, newest first, and the last decision about each taken back. */
export function HistorySection() {
  const { t } = useTranslation();
  const say = useText();
  const did = useDecisionName();
  const search = route.useSearch();
  const navigate = useNavigate({ from: "/response/$section" });
  const { undo } = useHandling();
  const mayHandle = useMayHandle();
  const set = (change: Edit<ResponseSearch>) =>
    void navigate({ search: (before) => edited(before, change), replace: true });
  const action = DECISIONS.find((it) => it === search.state);
  const list = useInfiniteQuery({
    ...read.decisions({
      ...(search.q && { by: search.q }),
      ...(action && { action }),
      ...(search.kind && { kind: search.kind }),
      ...(search.host && { host: search.host }),
    }),
    placeholderData: (before) => before,
  });
  const columns: Column<Decision>[] = [
    { id: "at", title: t("change.at"), width: 104, slim: 80, render: (it) => <When at={it.at} /> },
    { id: "by", title: t("audit.actor"), width: 110, render: (it) => it.by || "—" },
    {
      id: "action",
      title: t("respond.decision"),
      width: 150,
      slim: 104,
      render: (it) => did(it.action),
    },
    {
      id: "severity",
      title: t("finding.severity"),
      width: 100,
      render: (it) => <SeverityMark severity={it.finding.severity} />,
    },
    {
      id: "sentence",
      title: t("finding.sentence"),
      render: (it) => (
        <Link
          to="/events/$finding"
          params={{ finding: it.finding.id }}
          className="cut"
          title={say(it.finding.sentence)}
        >
          {say(it.finding.sentence)}
        </Link>
      ),
    },
    {
      id: "host",
      title: t("finding.host"),
      width: 140,
      render: (it) => <HostLink host={it.finding.host} />,
    },
    {
      id: "remark",
      title: t("handle.remark"),
      width: 220,
      render: (it) => (
        <span className="cut" title={it.remark}>
          {it.remark || "—"}
        </span>
      ),
    },
  ];
  if (mayHandle)
    columns.push({
      id: "undo",
      title: t("finding.action"),
      width: 90,
      render: (it) =>
        it.undo ? (
          <Button size="small" onClick={() => undo([it.finding.id])}>
            {t("handle.undo")}
          </Button>
        ) : null,
    });
  return (
    <>
      <search className="filters">
        <TextFilter label={t("respond.person")} value={search.q} onSettle={(q) => set({ q })} />
        <Pick
          label={t("respond.decision")}
          value={action}
          width={170}
          choices={DECISIONS.map((it) => ({ value: it, label: did(it) }))}
          onPick={(it) => set({ state: it })}
        />
        <Pick
          label={t("finding.category")}
          value={search.kind}
          choices={KINDS.map((it) => ({ value: it, label: t(`kind.${it}`) }))}
          onPick={(kind) => set({ kind })}
        />
        <HostFilter host={search.host} onPick={(host) => set({ host })} />
      </search>
      <JobList />
      <Table
        name="decisions"
        label={t("respond.history")}
        columns={columns}
        source={pagesSource(list)}
        rowKey={(it) => it.id}
        onOpen={(it) =>
          void navigate({ to: "/events/$finding", params: { finding: it.finding.id } })
        }
        empty={{ title: t("respond.no_history"), hint: t("respond.no_history_hint") }}
      />
    </>
  );
}
