// Addresses that servers refuse, with their counters.
import { useInfiniteQuery } from "@tanstack/react-query";
import { App, Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { act, type BlockedFilter, read } from "../../api";
import type { BlockedAddress } from "../../contract";
import { formatNumber } from "../../format";
import { usePrefs } from "../../prefs";
import { HostLink } from "../host-link";
import { Mono } from "../mono";
import { useMay } from "../permission";
import { pagesSource } from "../source";
import { type Column, Table } from "../table";
import { Moment, When } from "../when";
import { StateMark, useAskAgents, Why } from "./reach";

export function BlockedTable({ filter, withHost }: { filter: BlockedFilter; withHost: boolean }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const may = useMay();
  const { modal } = App.useApp();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const list = useInfiniteQuery({ ...read.blocked(filter), placeholderData: (it) => it });
  const source = pagesSource(list);
  const unblock = useAskAgents(act.unblock);
  const active = (it: BlockedAddress) => it.state === "active" && !it.pending;
  const held = (source.rows ?? []).filter((it) => chosen.has(it.id) && active(it));
  const ask = (them: BlockedAddress[]) =>
    modal.confirm({
      title: t("respond.unblock_title", { count: them.length }),
      content: t("respond.unblock_about"),
      okText: t("respond.unblock"),
      cancelText: t("part.cancel"),
      onOk: () =>
        unblock
          .mutateAsync(them.map((it) => it.id))
          .then(() => setChosen(new Set()))
          .catch(() => {}),
    });
  const columns: Column<BlockedAddress>[] = [
    {
      id: "address",
      title: t("login.address"),
      width: 180,
      slim: 124,
      render: (it) => <Mono text={it.address} max={22} />,
    },
    {
      id: "host",
      title: t("finding.host"),
      width: 150,
      render: (it) => <HostLink host={it.host} />,
    },
    {
      id: "state",
      title: t("finding.status"),
      width: 176,
      slim: 86,
      render: (it) => (
        <StateMark
          state={it.state}
          name={t(`respond.block_state.${it.state}`)}
          pending={it.pending}
        />
      ),
    },
    {
      id: "packets",
      title: t("respond.packets"),
      about: t("respond.packets_about"),
      width: 110,
      end: true,
      render: (it) => formatNumber(it.packets, language),
    },
    { id: "why", title: t("respond.by"), render: (it) => <Why it={it} /> },
    {
      id: "since",
      title: t("respond.since"),
      width: 112,
      render: (it) => <When at={it.since_at} />,
    },
    {
      id: "until",
      title: t("respond.until"),
      width: 170,
      render: (it) => <Moment at={it.until_at} />,
    },
  ];
  if (may("handle"))
    columns.push({
      id: "unblock",
      title: t("finding.action"),
      width: 96,
      slim: 92,
      render: (it) =>
        active(it) ? (
          <Button size="small" onClick={() => ask([it])}>
            {t("respond.unblock")}
          </Button>
        ) : null,
    });
  return (
    <>
      {chosen.size > 0 && (
        <section className="batch" aria-label={t("events.batch")}>
          <span>{t("events.chosen", { count: chosen.size })}</span>
          <Button
            size="small"
            type="primary"
            disabled={held.length === 0}
            onClick={() => ask(held)}
          >
            {t("respond.unblock_chosen", { count: held.length })}
          </Button>
          <Button size="small" type="text" onClick={() => setChosen(new Set())}>
            {t("events.choose_none")}
          </Button>
        </section>
      )}
      <Table
        name="blocked"
        label={t("respond.blocked")}
        columns={withHost ? columns : columns.filter((it) => it.id !== "host")}
        source={source}
        rowKey={(it) => it.id}
        {...(may("handle") && { choice: { ids: chosen, set: setChosen } })}
        empty={{ title: t("respond.no_blocked"), hint: t("respond.no_blocked_hint") }}
      />
    </>
  );
}
