import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { App, Button, Dropdown } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../../api";
import type { NotifyRoute } from "../../../contract";
import { useProblemText } from "../../../parts/problem";
import { SeverityMark } from "../../../parts/severity";
import { listSource } from "../../../parts/source";
import { type Column, Table } from "../../../parts/table";
import { RouteDialog } from "./route-dialog";

export function Routes() {
  const { t } = useTranslation();
  const list = useQuery(read.routes());
  const channels = useQuery(read.channels());
  const [open, setOpen] = useState<NotifyRoute | "new">();
  const names = new Map(channels.data?.items.map((it) => [it.id, it.name]));
  const columns = useColumns(names, setOpen);
  const ready = (channels.data?.items.length ?? 0) > 0;
  return (
    <>
      <div>
        <Button type="primary" disabled={!ready} onClick={() => setOpen("new")}>
          {t("notify.route.create")}
        </Button>
      </div>
      <Table
        name="routes"
        label={t("notify.view.routes")}
        columns={columns}
        source={listSource(list)}
        rowKey={(it) => it.id}
        empty={{
          title: t("notify.route.none"),
          hint: ready ? t("notify.route.none_hint") : t("notify.route.no_channel"),
        }}
      />
      {open && channels.data && (
        <RouteDialog
          route={open === "new" ? undefined : open}
          channels={channels.data.items}
          onClose={() => setOpen(undefined)}
        />
      )}
    </>
  );
}

function useColumns(
  names: Map<string, string>,
  onEdit: (it: NotifyRoute) => void,
): Column<NotifyRoute>[] {
  const { t } = useTranslation();
  const { message, modal } = App.useApp();
  const say = useProblemText();
  const queries = useQueryClient();
  const remove = useMutation({
    mutationFn: act.deleteRoute,
    onError: (error: unknown) => void message.error(say(error)),
    onSettled: () => queries.invalidateQueries({ queryKey: read.routes().queryKey }),
  });
  const when = ({ rule }: NotifyRoute): string =>
    rule.mode === "digest"
      ? t("notify.route.daily", { time: rule.digest_at, zone: rule.zone })
      : rule.quiet
        ? t("notify.route.at_once_quiet", {
            from: rule.quiet.from,
            until: rule.quiet.until,
            zone: rule.zone,
          })
        : t("notify.mode.real_time");
  const menu = (it: NotifyRoute) => [
    { key: "edit", label: t("notify.edit"), onClick: () => onEdit(it) },
    {
      key: "delete",
      danger: true,
      label: t("notify.delete"),
      onClick: () =>
        modal.confirm({
          title: t("notify.delete_title", { name: it.name }),
          content: t("notify.route.delete_about"),
          okText: t("notify.delete"),
          cancelText: t("part.cancel"),
          okButtonProps: { danger: true },
          onOk: () => remove.mutateAsync(it.id).catch(() => {}),
        }),
    },
  ];
  return [
    {
      id: "name",
      title: t("notify.name"),
      width: 200,
      render: (it) => (
        <span className="cut" title={it.name}>
          {it.name}
        </span>
      ),
    },
    {
      id: "what",
      title: t("notify.route.what"),
      width: 230,
      render: (it) => (
        <span className="cut">
          <SeverityMark severity={it.rule.severity} /> {t("notify.route.and_worse")}
          {it.rule.kinds.length > 0 && (
            <span className="muted">
              {" · "}
              {it.rule.kinds.map((kind) => t(`kind.${kind}`)).join(", ")}
            </span>
          )}
        </span>
      ),
    },
    {
      id: "when",
      title: t("notify.route.when"),
      render: (it) => (
        <span className="cut" title={when(it)}>
          {when(it)}
        </span>
      ),
    },
    {
      id: "channels",
      title: t("notify.view.channels"),
      width: 200,
      render: (it) => (
        <span className="cut">{it.rule.channels.map((id) => names.get(id) ?? id).join(", ")}</span>
      ),
    },
    {
      id: "state",
      title: t("notify.channel.state"),
      width: 90,
      render: (it) => (it.enabled ? t("notify.route.on") : t("notify.channel.off")),
    },
    {
      id: "menu",
      title: t("finding.action"),
      width: 100,
      render: (it) => (
        <Dropdown trigger={["click"]} menu={{ items: menu(it) }}>
          <Button size="small" aria-haspopup="menu">
            {t("part.more")}
          </Button>
        </Dropdown>
      ),
    },
  ];
}
