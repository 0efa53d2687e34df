// The rows of one asset kind, its columns drawn from the specification that the agents sent.
import { useInfiniteQuery } from "@tanstack/react-query";
import { Drawer } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { type AssetFilter, read } from "../api";
import type { AssetRow, TableSpec } from "../contract";
import { AssetValue } from "./asset-value";
import { ChangeList } from "./change-list";
import { Facts } from "./facts";
import { HostLink } from "./host-link";
import { pagesSource } from "./source";
import { type Column, Table } from "./table";
import { useText } from "./text";
import { When } from "./when";

/** Pixels by form; texts share what is left. */
const WIDTHS: Partial<Record<TableSpec["columns"][number]["form"], number>> = {
  integer: 90,
  boolean: 90,
  time: 120,
  bytes: 100,
  port: 80,
  user: 110,
  level: 128,
  path: 270,
  hash: 150,
  address: 150,
};

/** What fits into the widths above. */
const CHARS: Partial<Record<TableSpec["columns"][number]["form"], number>> = {
  hash: 14,
  path: 32,
  address: 16,
};

export function AssetTable(props: { spec: TableSpec; filter: AssetFilter; withHost: boolean }) {
  const { spec, filter, withHost } = props;
  const { t } = useTranslation();
  const say = useText();
  const [open, setOpen] = useState<AssetRow>();
  const list = useInfiniteQuery({
    ...read.assets(spec.kind, { ...filter }),
    placeholderData: (before, query) =>
      // Rows of another kind have other columns.
      query?.queryKey[0] === `/assets/${spec.kind}` ? before : undefined,
  });
  const columns: Column<AssetRow>[] = spec.columns.map((it) => {
    const width = WIDTHS[it.form];
    return {
      id: it.name,
      title: say(it.title),
      about: it.about,
      optional: !it.shown,
      ...(width && { width }),
      end: it.form === "bytes",
      render: ({ row }) => (
        <AssetValue
          name={it.name}
          value={row[it.name]}
          form={it.form}
          {...(CHARS[it.form] && { max: CHARS[it.form] })}
        />
      ),
    };
  });
  if (withHost)
    columns.unshift({
      id: "host",
      title: t("finding.host"),
      width: 150,
      render: (it) => <HostLink host={it.host} />,
    });
  columns.push({
    id: "first_seen",
    title: t("asset.first_seen"),
    width: 112,
    render: (it) => <When at={it.first_seen_at} />,
  });

  return (
    <>
      <Table
        name={`asset-${spec.kind}`}
        label={say(spec.title)}
        columns={columns}
        source={pagesSource(list)}
        rowKey={(it) => `${it.host.id} ${it.key}`}
        current={open && `${open.host.id} ${open.key}`}
        onOpen={setOpen}
        empty={
          filter.q || filter.value
            ? { title: t("asset.no_match"), hint: t("events.no_match_hint") }
            : { title: t("asset.no_rows"), hint: say(spec.about) }
        }
      />
      <Drawer
        open={open !== undefined}
        onClose={() => setOpen(undefined)}
        size={560}
        mask={false}
        destroyOnHidden
        title={say(spec.title)}
      >
        {open && <RowDetail spec={spec} asset={open} />}
      </Drawer>
    </>
  );
}

function RowDetail({ spec, asset }: { spec: TableSpec; asset: AssetRow }) {
  const { t } = useTranslation();
  const say = useText();
  return (
    <article className="finding">
      <Facts
        facts={[
          { name: t("finding.host"), value: <HostLink host={asset.host} /> },
          ...spec.columns.map((it) => ({
            name: say(it.title),
            value: <AssetValue name={it.name} value={asset.row[it.name]} form={it.form} max={64} />,
          })),
          { name: t("asset.first_seen"), value: <When at={asset.first_seen_at} /> },
          { name: t("asset.last_seen"), value: <When at={asset.last_seen_at} /> },
        ]}
      />
      <section className="finding-part">
        <h3>{t("asset.history")}</h3>
        <ChangeList filter={{ kind: spec.kind, host: asset.host.id }} onlyKey={asset.key} />
      </section>
    </article>
  );
}
