import { ArrowLeftOutlined } from "@ant-design/icons";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { Button, Segmented } from "antd";
import { useTranslation } from "react-i18next";
import { read } from "../../api";
import type { AssetKind, AssetSummary } from "../../contract";
import { formatNumber } from "../../format";
import { AssetTable } from "../../parts/asset-table";
import { AssetValue } from "../../parts/asset-value";
import { PageHead } from "../../parts/page-head";
import { Pick } from "../../parts/pick";
import { pagesSource } from "../../parts/source";
import { Loaded, Nothing } from "../../parts/states";
import { type Column, Table } from "../../parts/table";
import { useText } from "../../parts/text";
import { TextFilter } from "../../parts/text-filter";
import { usePrefs } from "../../prefs";
import { type AssetsSearch, type Edit, edited } from "../../search";

const route = getRouteApi("/frame/assets/$kind");
const VIEWS = ["values", "rows"] as const;
const ORDERS = ["common", "rare"] as const;

export function AssetKindPage() {
  const { kind } = route.useParams();
  const { t } = useTranslation();
  const kinds = useQuery(read.assetKinds());
  return (
    <Loaded query={kinds} lines={12}>
      {({ items }) => {
        const found = items.find((it) => it.spec.kind === kind);
        return found ? <Kind kind={found} /> : <Nothing title={t("asset.no_kind")} />;
      }}
    </Loaded>
  );
}

function Kind({ kind }: { kind: AssetKind }) {
  const { t } = useTranslation();
  const say = useText();
  const { language } = usePrefs();
  const search = route.useSearch();
  const navigate = useNavigate({ from: "/assets/$kind" });
  const set = (change: Edit<AssetsSearch>) =>
    void navigate({ search: (before) => edited(before, change), replace: true });
  const { data: groups } = useQuery(read.groups());
  const view = search.view ?? "values";
  const { view: _, order = "common", ...filter } = search;
  const { spec } = kind;
  const column = spec.columns.find((it) => it.name === search.column);

  return (
    <div className="page">
      <Link to="/assets" className="back">
        <ArrowLeftOutlined /> {t("frame.assets")}
      </Link>
      <PageHead
        title={say(spec.title)}
        note={t("asset.rows_on_hosts", {
          rows: formatNumber(kind.rows, language),
          hosts: formatNumber(kind.hosts, language),
        })}
      >
        <Link to="/changes" search={{ kind: spec.kind }}>
          {t("change.title")}
        </Link>
      </PageHead>
      <search className="filters">
        <Segmented
          aria-label={t("asset.view")}
          value={view}
          options={VIEWS.map((it) => ({ value: it, label: t(`asset.view_${it}`) }))}
          onChange={(it) => set({ view: it, column: undefined, value: undefined })}
        />
        <TextFilter
          key={view}
          label={t("asset.text")}
          value={search.q}
          onSettle={(q) => set({ q })}
        />
        {view === "values" && (
          <Segmented
            aria-label={t("asset.order")}
            value={order}
            options={ORDERS.map((it) => ({ value: it, label: t(`asset.${it}_first`) }))}
            onChange={(it) => set({ order: it })}
          />
        )}
        {view === "rows" && (
          <Pick
            label={t("servers.group")}
            value={search.group}
            search
            choices={(groups?.items ?? []).map((it) => ({ value: it.id, label: it.name }))}
            onPick={(group) => set({ group })}
          />
        )}
        {view === "rows" && search.value !== undefined && (
          <Button onClick={() => set({ column: undefined, value: undefined })}>
            {t("asset.only", { column: column ? say(column.title) : "", value: search.value })} ×
          </Button>
        )}
      </search>
      {view === "values" ? (
        <Values
          kind={kind}
          q={search.q}
          order={order}
          onOpen={(it) => set({ view: "rows", q: undefined, column: it.column, value: it.value })}
        />
      ) : (
        <AssetTable spec={spec} filter={filter} withHost />
      )}
    </div>
  );
}

interface ValuesProps {
  kind: AssetKind;
  q: string | undefined;
  order: "common" | "rare";
  onOpen: (value: AssetSummary) => void;
}

/** Each value once, with how many servers have it. */
function Values({ kind, q, order, onOpen }: ValuesProps) {
  const { t } = useTranslation();
  const say = useText();
  const { language } = usePrefs();
  const { spec } = kind;
  const list = useInfiniteQuery({
    ...read.assetSummary(spec.kind, { ...(q && { q }), order }),
    placeholderData: (before, query) =>
      query?.queryKey[0] === `/assets/${spec.kind}/summary` ? before : undefined,
  });
  const column = spec.columns.find((it) => it.name === kind.summary_column);
  const columns: Column<AssetSummary>[] = [
    {
      id: "value",
      title: column ? say(column.title) : t("asset.value"),
      render: (it) => (
        <AssetValue name={it.column} value={it.value} form={column?.form ?? "text"} max={90} />
      ),
    },
    {
      id: "hosts",
      title: t("asset.hosts"),
      width: 120,
      end: true,
      render: (it) => formatNumber(it.hosts, language),
    },
    {
      id: "share",
      title: t("asset.share"),
      width: 220,
      render: (it) => <Share part={it.hosts} whole={kind.hosts} />,
    },
    {
      id: "rows",
      title: t("asset.rows"),
      width: 120,
      end: true,
      render: (it) => formatNumber(it.rows, language),
    },
  ];
  return (
    <Table
      name={`asset-values-${spec.kind}`}
      label={say(spec.title)}
      columns={columns}
      source={pagesSource(list)}
      rowKey={(it) => it.value}
      onOpen={onOpen}
      empty={
        q
          ? { title: t("asset.no_match"), hint: t("events.no_match_hint") }
          : { title: t("asset.no_rows"), hint: say(spec.about) }
      }
    />
  );
}

function Share({ part, whole }: { part: number; whole: number }) {
  const ratio = whole === 0 ? 0 : Math.min(part / whole, 1);
  return (
    <span className="bar" aria-hidden="true">
      <span style={{ width: `${Math.max(ratio * 100, 1)}%` }} />
    </span>
  );
}
