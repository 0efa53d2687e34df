// What came, went and changed among the assets, newest first.
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Button, Drawer } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { type ChangeFilter, read } from "../api";
import type { Change, TableSpec } from "../contract";
import { AssetValue } from "./asset-value";
import { Facts } from "./facts";
import { HostLink } from "./host-link";
import { Mono } from "./mono";
import { rowName } from "./row-name";
import { pagesSource } from "./source";
import { Loaded, Nothing } from "./states";
import { type Column, Table } from "./table";
import { useText } from "./text";
import { When } from "./when";

/** The changes of one row, oldest facts last; `onlyKey` picks the row out of its table's changes. */
export function ChangeList({ filter, onlyKey }: { filter: ChangeFilter; onlyKey: string }) {
  const { t } = useTranslation();
  const list = useInfiniteQuery(read.changes({ ...filter }));
  return (
    <Loaded query={list} lines={3}>
      {({ pages }) => {
        const mine = pages.flatMap((it) => it.items).filter((it) => it.key === onlyKey);
        return (
          <>
            {mine.length === 0 && <Nothing title={t("change.none_yet")} />}
            <ol className="changes">
              {mine.map((it) => (
                <li key={it.id}>
                  <span className="changes-head">
                    <Op op={it.op} />
                    <When at={it.at} />
                  </span>
                  <Diff change={it} />
                </li>
              ))}
            </ol>
            {list.hasNextPage && (
              <Button
                size="small"
                loading={list.isFetchingNextPage}
                onClick={() => void list.fetchNextPage()}
              >
                {t("change.look_further")}
              </Button>
            )}
          </>
        );
      }}
    </Loaded>
  );
}

/** Changes over many rows, as a table. */
export function ChangeTable({ filter, withHost }: { filter: ChangeFilter; withHost: boolean }) {
  const { t } = useTranslation();
  const list = useInfiniteQuery({
    ...read.changes({ ...filter }),
    placeholderData: (before) => before,
  });
  const [open, setOpen] = useState<Change>();
  const say = useText();
  const spec = useSpecs();
  const columns: Column<Change>[] = [
    { id: "at", title: t("change.at"), width: 112, slim: 80, render: (it) => <When at={it.at} /> },
    { id: "op", title: t("change.op"), width: 96, slim: 72, render: (it) => <Op op={it.op} /> },
    {
      id: "host",
      title: t("finding.host"),
      width: 170,
      render: (it) => <HostLink host={it.host} />,
    },
    {
      id: "kind",
      title: t("change.kind"),
      width: 150,
      render: (it) => {
        const known = spec(it.kind);
        return known ? say(known.title) : it.kind;
      },
    },
    {
      id: "key",
      title: t("change.what"),
      render: (it) => <RowName change={it} />,
    },
    {
      id: "diff",
      title: t("change.diff"),
      width: 400,
      render: (it) => <Diff change={it} inline />,
    },
  ];
  return (
    <>
      <Table
        name="changes"
        label={t("change.title")}
        columns={withHost ? columns : columns.filter((it) => it.id !== "host")}
        source={pagesSource(list)}
        rowKey={(it) => it.id}
        current={open?.id}
        onOpen={setOpen}
        empty={{ title: t("change.none"), hint: t("change.none_hint") }}
      />
      <Drawer
        open={open !== undefined}
        onClose={() => setOpen(undefined)}
        size={560}
        mask={false}
        destroyOnHidden
        title={t("change.one")}
      >
        {open && <ChangeDetail change={open} />}
      </Drawer>
    </>
  );
}

/** What differs in full, and the row as it was left. */
function ChangeDetail({ change }: { change: Change }) {
  const { t } = useTranslation();
  const say = useText();
  const spec = useSpecs()(change.kind);
  const column = (name: string) => spec?.columns.find((it) => it.name === name);
  return (
    <article className="finding">
      <Facts
        facts={[
          { name: t("change.at"), value: <When at={change.at} /> },
          { name: t("change.op"), value: <Op op={change.op} /> },
          { name: t("finding.host"), value: <HostLink host={change.host} /> },
          { name: t("change.kind"), value: spec ? say(spec.title) : change.kind },
          { name: t("change.what"), value: <RowName change={change} /> },
        ]}
      />
      {change.diff.length > 0 && (
        <section className="finding-part">
          <h3>{t("change.diff")}</h3>
          <Diff change={change} />
        </section>
      )}
      <section className="finding-part">
        <h3>{t(change.op === "removed" ? "change.row_before" : "change.row_after")}</h3>
        <Facts
          facts={Object.entries(change.row).map(([name, value]) => {
            const known = column(name);
            return {
              name: known ? say(known.title) : name,
              value: <AssetValue name={name} value={value} form={known?.form ?? "text"} max={64} />,
            };
          })}
        />
      </section>
    </article>
  );
}

function useSpecs(): (kind: string) => TableSpec | undefined {
  const { data } = useQuery(read.assetKinds());
  return (kind) => data?.items.find((it) => it.spec.kind === kind)?.spec;
}

export function RowName({ change }: { change: Change }) {
  const spec = useSpecs()(change.kind);
  const { name, more } = rowName(spec, change);
  return (
    <span className="row-name">
      <Mono text={name} max={more === "" ? 40 : 18} />
      {more !== "" && more !== name && (
        <span className="muted mono cut" title={more}>
          {more}
        </span>
      )}
    </span>
  );
}

export function Op({ op }: { op: Change["op"] }) {
  const { t } = useTranslation();
  return (
    <span className="op" data-op={op}>
      {t(`change.${op}`)}
    </span>
  );
}

function Diff({ change, inline = false }: { change: Change; inline?: boolean }) {
  const say = useText();
  const spec = useSpecs()(change.kind);
  if (change.diff.length === 0) return null;
  return (
    <span className={inline ? "diff cut" : "diff"}>
      {change.diff.map((it) => {
        const column = spec?.columns.find((other) => other.name === it.column);
        const form = column?.form ?? "text";
        return (
          <span key={it.column} className="diff-field">
            <span className="muted">{column ? say(column.title) : it.column}</span>
            <del>
              <AssetValue name={it.column} value={it.before} form={form} max={28} />
            </del>
            <span aria-hidden="true">→</span>
            <ins>
              <AssetValue name={it.column} value={it.after} form={form} max={28} />
            </ins>
          </span>
        );
      })}
    </span>
  );
}
