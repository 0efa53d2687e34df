// The list of findings with its drawer, batch bar and the bar that announces new ones.
// The Events page and a server's own page show the same.
import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Button, Drawer } from "antd";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { type FindingFilter, read } from "../../api";
import type { FindingItem, JobFilter, Page } from "../../contract";
import { useLive } from "../../live";
import { pagesSource } from "../source";
import { Table } from "../table";
import { useFindingColumns } from "./columns";
import { FindingDetail } from "./detail";
import { useHandling, useMayHandle } from "./handle";

/** Most findings that one decision may cover. */
const BATCH_MAX = 100;

interface Props {
  filter: FindingFilter;
  withHost: boolean;
  /** The finding in the drawer; stands in the URL. */
  open: string | undefined;
  onOpen: (id: string | undefined) => void;
  empty: { title: string; hint?: string };
}

export function FindingList({ filter, withHost, open, onOpen, empty }: Props) {
  const { t } = useTranslation();
  const mayHandle = useMayHandle();
  const { ask, askAll } = useHandling();
  const all = jobFilter(filter);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const list = useInfiniteQuery({ ...read.findings(filter), placeholderData: (before) => before });
  const source = pagesSource(list);
  const fresh = useFresh(filter, source.rows);
  const columns = useFindingColumns({
    withHost,
    onHandle: mayHandle ? (it) => ask([it]) : undefined,
  });
  const picked = (source.rows ?? []).filter((it) => chosen.has(it.id));
  const handleable = picked.filter((it) => it.status === "unhandled");

  return (
    <>
      {fresh.count > 0 && (
        <button type="button" className="fresh" onClick={() => fresh.show()}>
          {t("events.fresh", { count: fresh.count })}
        </button>
      )}
      {picked.length > 0 && (
        <section className="batch" aria-label={t("events.batch")}>
          <span>{t("events.chosen", { count: picked.length })}</span>
          <Button
            size="small"
            type="primary"
            disabled={handleable.length === 0 || handleable.length > BATCH_MAX}
            onClick={() => ask(handleable)}
          >
            {t("events.handle_chosen", { count: handleable.length })}
          </Button>
          <Button size="small" type="text" onClick={() => setChosen(new Set())}>
            {t("events.choose_none")}
          </Button>
          {handleable.length > BATCH_MAX && (
            <span className="muted">{t("events.batch_max", { max: BATCH_MAX })}</span>
          )}
        </section>
      )}
      <Table
        name={withHost ? "events" : "server-events"}
        label={t("frame.events")}
        columns={columns}
        source={source}
        rowKey={(it) => it.id}
        current={open}
        onOpen={(it) => onOpen(it.id)}
        {...(mayHandle && {
          choice: { ids: chosen, set: setChosen },
          onHandle: (it: FindingItem) => it.status === "unhandled" && ask([it]),
        })}
        empty={empty}
        {...(mayHandle &&
          all && {
            foot: (
              <Button size="small" onClick={() => askAll(all)}>
                {t("job.of_list")}
              </Button>
            ),
          })}
      />
      <Drawer
        open={open !== undefined}
        onClose={() => onOpen(undefined)}
        size={640}
        mask={false}
        destroyOnHidden
        title={t("finding.title")}
        extra={
          open && (
            <Link to="/events/$finding" params={{ finding: open }}>
              {t("finding.full_page")}
            </Link>
          )
        }
      >
        {open && <FindingDetail id={open} />}
      </Drawer>
    </>
  );
}

/**
 * The list's filter as a job takes it: what waits for a decision and shares something. A span
 * of time alone is no kind.
 */
function jobFilter({ status, ...rest }: FindingFilter): Partial<JobFilter> | undefined {
  if (status && status !== "unhandled") return undefined;
  const { since: _, until: __, ...shared } = rest;
  const named = Object.values(shared).some((it) => it !== undefined);
  return named ? (rest as Partial<JobFilter>) : undefined;
}

/** Counts what came in since the list was read; rows that are shown change in place. */
function useFresh(filter: FindingFilter, rows: FindingItem[] | undefined) {
  const queries = useQueryClient();
  const [ids, setIds] = useState<ReadonlySet<string>>(new Set());
  const key = read.findings(filter).queryKey;
  const keyText = JSON.stringify(key);
  const shownKey = useRef(keyText);
  useEffect(() => {
    if (shownKey.current === keyText) return;
    shownKey.current = keyText;
    setIds(new Set());
  }, [keyText]);

  useLive("finding", ({ item }) => {
    if (rows?.some((it) => it.id === item.id)) {
      queries.setQueryData<{ pages: Page<FindingItem>[]; pageParams: unknown[] }>(
        key,
        (it) =>
          it && {
            ...it,
            pages: it.pages.map((page) => ({
              ...page,
              items: page.items.map((row) => (row.id === item.id ? item : row)),
            })),
          },
      );
    } else if (matches(filter, item)) {
      setIds((before) => new Set(before).add(item.id));
    }
  });

  const count = ids.size;
  useEffect(() => {
    if (count === 0) return;
    const plain = document.title.replace(/^\(\d+\) /, "");
    document.title = `(${count}) ${plain}`;
    return () => {
      document.title = plain;
    };
  }, [count]);

  return {
    count,
    show: () => {
      setIds(new Set());
      void queries.resetQueries({ queryKey: key });
    },
  };
}

/** Whether the list's filter lets this one in. Group and text are the server's to judge. */
function matches(filter: FindingFilter, item: FindingItem): boolean {
  const same = (wanted: string | undefined, given: string) => !wanted || wanted === given;
  return (
    !filter.group &&
    !filter.q &&
    !filter.until &&
    same(filter.rule, item.rule) &&
    same(filter.incident, item.incident) &&
    (!filter.technique || (item.technique ?? "").startsWith(filter.technique)) &&
    same(filter.kind, item.kind) &&
    same(filter.category, item.category) &&
    same(filter.severity, item.severity) &&
    same(filter.status, item.status) &&
    same(filter.host, item.host.id)
  );
}
