import { PlusOutlined } from "@ant-design/icons";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { App, Button, Select } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { act, type HostFilter, read } from "../../api";
import type { Host } from "../../contract";
import { HostState } from "../../parts/host-state";
import { KindCount } from "../../parts/kind-counts";
import { PageHead } from "../../parts/page-head";
import { useMay } from "../../parts/permission";
import { Pick } from "../../parts/pick";
import { useProblemText } from "../../parts/problem";
import { pagesSource } from "../../parts/source";
import { type Column, Table } from "../../parts/table";
import { TextFilter } from "../../parts/text-filter";
import { When } from "../../parts/when";
import {
  CONNECTIONS,
  type Edit,
  edited,
  PROTECTIONS,
  SEVERITIES,
  type ServersSearch,
} from "../../search";

const route = getRouteApi("/frame/servers");

export function ServersPage() {
  const { t } = useTranslation();
  const search = route.useSearch();
  const navigate = useNavigate({ from: "/servers" });
  const may = useMay();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const filter: HostFilter = { sort: "risk", order: "desc", ...search };
  const list = useInfiniteQuery({ ...read.hosts(filter), placeholderData: (before) => before });
  const set = (change: Edit<ServersSearch>) =>
    void navigate({ search: (before) => edited(before, change), replace: true });
  const columns = useColumns();
  const narrowed = Boolean(
    search.q || search.group || search.connection || search.protection || search.risk,
  );
  const enrol = (
    <Link to="/settings/$section" params={{ section: "enrolment" }}>
      <Button type="primary" icon={<PlusOutlined />}>
        {t("servers.enrol")}
      </Button>
    </Link>
  );

  return (
    <div className="page">
      <PageHead title={t("frame.servers")}>{may("manage_tokens") && enrol}</PageHead>
      <Filters search={search} set={set} />
      {chosen.size > 0 && <MoveBar ids={[...chosen]} onDone={() => setChosen(new Set())} />}
      <Table
        name="servers"
        label={t("frame.servers")}
        columns={columns}
        source={pagesSource(list)}
        rowKey={(it) => it.id}
        onOpen={(it) => void navigate({ to: "/servers/$host", params: { host: it.id } })}
        {...(may("manage_hosts") && { choice: { ids: chosen, set: setChosen } })}
        sort={{ column: filter.sort ?? "risk", order: filter.order ?? "desc" }}
        onSort={(sort, order) => set({ sort: sort as NonNullable<ServersSearch["sort"]>, order })}
        empty={
          narrowed
            ? { title: t("servers.no_match"), hint: t("events.no_match_hint") }
            : { title: t("servers.none"), hint: t("servers.none_hint"), action: enrol }
        }
      />
    </div>
  );
}

interface FiltersProps {
  search: ServersSearch;
  set: (change: Edit<ServersSearch>) => void;
}

function Filters({ search, set }: FiltersProps) {
  const { t } = useTranslation();
  const { data: groups } = useQuery(read.groups());
  return (
    <search className="filters">
      <TextFilter label={t("servers.text")} value={search.q} onSettle={(q) => set({ q })} />
      <Pick
        label={t("servers.group")}
        value={search.group}
        search
        choices={(groups?.items ?? []).map((it) => ({ value: it.id, label: it.name }))}
        onPick={(group) => set({ group })}
      />
      <Pick
        label={t("servers.connection")}
        value={search.connection}
        choices={CONNECTIONS.map((it) => ({ value: it, label: t(`connection.${it}`) }))}
        onPick={(connection) => set({ connection })}
      />
      <Pick
        label={t("servers.protection")}
        value={search.protection}
        choices={PROTECTIONS.map((it) => ({ value: it, label: t(`protection.${it}`) }))}
        onPick={(protection) => set({ protection })}
      />
      <Pick
        label={t("servers.with_risk")}
        value={search.risk}
        width={170}
        choices={SEVERITIES.map((it) => ({ value: it, label: t(`servers.at_least.${it}`) }))}
        onPick={(risk) => set({ risk })}
      />
    </search>
  );
}

function useColumns(): Column<Host>[] {
  const { t } = useTranslation();
  const column = (kind: "alarm" | "asset_risk"): Column<Host> => ({
    id: kind,
    title: t(`kind.${kind}`),
    width: 92,
    end: true,
    render: (it) => <KindCount counts={it.counts} kind={kind} host={it.id} />,
  });
  return [
    {
      id: "name",
      title: t("servers.name"),
      sortable: true,
      render: (it) => (
        <span className="cut" title={it.name}>
          <Link to="/servers/$host" params={{ host: it.id }}>
            {it.name}
          </Link>
          {it.importance !== "general" && (
            <span className="tag">{t(`importance.${it.importance}`)}</span>
          )}
        </span>
      ),
    },
    {
      id: "address",
      title: t("servers.address"),
      width: 150,
      render: (it) => (
        <span className="cut mono" title={it.addresses.join("\n")}>
          {it.addresses[0] ?? "—"}
          {it.addresses.length > 1 && <span className="muted"> +{it.addresses.length - 1}</span>}
        </span>
      ),
    },
    {
      id: "state",
      title: t("servers.state"),
      width: 180,
      slim: 120,
      render: (it) => <HostState host={it} />,
    },
    {
      id: "os",
      title: t("servers.os"),
      width: 160,
      render: (it) => (
        <span className="cut" title={it.kernel}>
          {it.os.name} {it.os.version}
        </span>
      ),
    },
    {
      id: "group",
      title: t("servers.group"),
      width: 130,
      render: (it) => (
        <span className="cut" title={it.group.name}>
          {it.group.name}
        </span>
      ),
    },
    column("alarm"),
    column("asset_risk"),
    {
      id: "risk",
      title: t("servers.risk"),
      about: t("servers.risk_about"),
      width: 84,
      slim: 64,
      end: true,
      sortable: true,
      render: (it) => <b>{Math.round(it.risk)}</b>,
    },
    {
      id: "last_seen",
      title: t("servers.last_seen"),
      width: 112,
      sortable: true,
      render: (it) => <When at={it.last_seen_at} />,
    },
    {
      id: "agent",
      title: t("servers.agent"),
      width: 90,
      optional: true,
      render: (it) => it.agent_version,
    },
    {
      id: "remark",
      title: t("servers.remark"),
      width: 160,
      optional: true,
      render: (it) => <span className="cut">{it.remark}</span>,
    },
  ];
}

/** Moves the chosen servers to a group, one request each, and says how many came through. */
function MoveBar({ ids, onDone }: { ids: string[]; onDone: () => void }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const say = useProblemText();
  const queries = useQueryClient();
  const { data: groups } = useQuery(read.groups());
  const move = useMutation({
    mutationFn: async (group: string) => {
      for (const id of ids) await act.changeHost(id, { group });
    },
    onSuccess: () => {
      void message.success(t("servers.moved", { count: ids.length }));
      onDone();
    },
    onError: (error) => void message.error(say(error)),
    onSettled: () => queries.invalidateQueries({ queryKey: ["/hosts"] }),
  });
  return (
    <section className="batch" aria-label={t("events.batch")}>
      <span>{t("servers.chosen", { count: ids.length })}</span>
      <Select
        size="small"
        value={null}
        style={{ width: 200 }}
        loading={move.isPending}
        placeholder={t("servers.move_to")}
        aria-label={t("servers.move_to")}
        options={(groups?.items ?? []).map((it) => ({ value: it.id, label: it.name }))}
        onChange={(group: string | null) => group && move.mutate(group)}
      />
      <Button size="small" type="text" onClick={onDone}>
        {t("events.choose_none")}
      </Button>
    </section>
  );
}
