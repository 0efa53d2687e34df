import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { Segmented } from "antd";
import { useTranslation } from "react-i18next";
import type { Capability, FeatureCost, HostDetail } from "../../contract";
import { formatNumber } from "../../format";
import { useBecause } from "../../parts/because";
import { BlockedTable } from "../../parts/response/blocked-table";
import { IsolatedTable } from "../../parts/response/isolated-table";
import { type Column, Table } from "../../parts/table";
import { useWords } from "../../parts/words";
import { usePrefs } from "../../prefs";

const route = getRouteApi("/frame/servers/$host");
const ORDER: Capability["state"][] = ["missing", "degraded", "active", "off"];
const VIEWS = ["sees", "blocked", "isolated"] as const;

/** What guards this server, what that costs, and what was done here. */
export function ProtectionTab({ host }: { host: HostDetail }) {
  const { t } = useTranslation();
  const search = route.useSearch();
  const navigate = useNavigate({ from: "/servers/$host" });
  const view = VIEWS.find((it) => it === search.kind) ?? "sees";
  const set = (change: { kind?: string; open?: string }) =>
    void navigate({ search: { tab: "protection", kind: view, ...change }, replace: true });
  const title = { sees: "server.sees", blocked: "respond.blocked", isolated: "respond.isolated" };
  return (
    <>
      <Segmented
        className="kinds"
        aria-label={t("asset.view")}
        value={view}
        options={VIEWS.map((it) => ({ value: it, label: t(title[it] as "server.sees") }))}
        onChange={(kind) => set({ kind })}
      />
      {view === "sees" && <Matrix host={host} />}
      {view === "blocked" && <BlockedTable filter={{ host: host.id }} withHost={false} />}
      {view === "isolated" && (
        <IsolatedTable
          filter={{ host: host.id }}
          withHost={false}
          open={search.open}
          onOpen={(open) => set(open === undefined ? {} : { open })}
        />
      )}
    </>
  );
}

type Row = { id: string; capability?: Capability; cost?: FeatureCost };

/** The gaps first; each feature with what it has used since the agent started. */
function Matrix({ host }: { host: HostDetail }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const words = useWords();
  const because = useBecause();
  const columns: Column<Row>[] = [
    {
      id: "name",
      title: t("capability.title"),
      width: 280,
      slim: 110,
      render: (it) => words.capability(it.id),
    },
    {
      id: "state",
      title: t("capability.state"),
      width: 110,
      slim: 72,
      render: ({ capability }) =>
        capability ? (
          <span className="capability" data-state={capability.state}>
            <span className="host-state-dot" aria-hidden="true" />
            {t(`capability.${capability.state}`)}
          </span>
        ) : (
          "—"
        ),
    },
    {
      id: "reason",
      title: t("capability.reason"),
      render: ({ capability }) => (
        <span className="cut" title={capability && because(capability.reason, capability.why)}>
          {(capability && because(capability.reason, capability.why)) || "—"}
        </span>
      ),
    },
    {
      id: "cpu",
      title: t("server.cost_cpu"),
      about: t("server.cost_about"),
      width: 110,
      end: true,
      render: ({ cost }) => cpu(cost, language),
    },
    {
      id: "events",
      title: t("server.cost_events"),
      width: 120,
      end: true,
      render: ({ cost }) => (cost ? formatNumber(cost.events, language) : "—"),
    },
    {
      id: "lost",
      title: t("server.cost_lost"),
      about: t("server.lost_about"),
      width: 90,
      end: true,
      render: ({ cost }) => (
        <span className={cost && cost.lost > 0 ? "lost" : undefined}>
          {cost ? formatNumber(cost.lost, language) : "—"}
        </span>
      ),
    },
  ];
  return (
    <Table
      name="capabilities"
      label={t("server.tab.protection")}
      columns={columns}
      source={{ rows: rowsOf(host), error: null, retry: () => {} }}
      rowKey={(it) => it.id}
      empty={{ title: t("capability.none"), hint: t("capability.none_hint") }}
    />
  );
}

function rowsOf({ capabilities, costs }: HostDetail): Row[] {
  const rank = (it: Row) => ORDER.indexOf(it.capability?.state ?? "active");
  const named = capabilities.map((capability): Row => {
    const cost = costs.find((it) => it.id === capability.id);
    return { id: capability.id, capability, ...(cost && { cost }) };
  });
  const others = costs
    .filter((cost) => !capabilities.some((it) => it.id === cost.id))
    .map((cost): Row => ({ id: cost.id, cost }));
  return [...named, ...others].sort((a, b) => rank(a) - rank(b) || a.id.localeCompare(b.id));
}

function cpu(cost: FeatureCost | undefined, language: "en" | "zh"): string {
  if (!cost) return "—";
  return cost.cpu_us < 1_000_000
    ? `${formatNumber(Math.round(cost.cpu_us / 1000), language)} ms`
    : `${formatNumber(Math.round(cost.cpu_us / 100_000) / 10, language)} s`;
}
