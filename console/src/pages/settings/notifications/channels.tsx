import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { App, Button, Dropdown, Tooltip } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../../api";
import type { Channel } from "../../../contract";
import { useBecause } from "../../../parts/because";
import { useProblemText } from "../../../parts/problem";
import { listSource } from "../../../parts/source";
import { type Column, Table } from "../../../parts/table";
import { When } from "../../../parts/when";
import { usePrefs } from "../../../prefs";
import { ChannelDialog } from "./channel-dialog";

export function Channels() {
  const { t } = useTranslation();
  const list = useQuery(read.channels());
  const [open, setOpen] = useState<Channel | "new">();
  const columns = useColumns(setOpen);
  return (
    <>
      <div>
        <Button type="primary" onClick={() => setOpen("new")}>
          {t("notify.channel.create")}
        </Button>
      </div>
      <Table
        name="channels"
        label={t("notify.view.channels")}
        columns={columns}
        source={listSource(list)}
        rowKey={(it) => it.id}
        empty={{ title: t("notify.channel.none"), hint: t("notify.channel.none_hint") }}
      />
      {open && (
        <ChannelDialog
          channel={open === "new" ? undefined : open}
          onClose={() => setOpen(undefined)}
        />
      )}
    </>
  );
}

/** How sending goes, by the last thing that happened. */
function State({ channel }: { channel: Channel }) {
  const { t } = useTranslation();
  const because = useBecause();
  const { last_error_at, last_success_at } = channel;
  const reason = because(channel.last_error, channel.last_why);
  const failing = last_error_at && (!last_success_at || last_error_at > last_success_at);
  if (channel.secrets.lost) return <span className="bad">{t("notify.channel.lost")}</span>;
  if (!channel.enabled) return <span className="muted">{t("notify.channel.off")}</span>;
  if (failing)
    return (
      <Tooltip title={reason}>
        <span className="bad cut">{t("notify.channel.failing_why", { reason })}</span>
      </Tooltip>
    );
  if (!last_success_at) return <span className="muted">{t("notify.channel.untried")}</span>;
  return (
    <span>
      {t("notify.channel.works")} · <When at={last_success_at} />
    </span>
  );
}

function useColumns(onEdit: (it: Channel) => void): Column<Channel>[] {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const { message, modal } = App.useApp();
  const say = useProblemText();
  const because = useBecause();
  const queries = useQueryClient();
  const options = {
    onError: (error: unknown) => void message.error(say(error)),
    onSettled: () => queries.invalidateQueries({ queryKey: read.channels().queryKey }),
  };
  const test = useMutation({
    mutationFn: (it: Channel) => act.testChannel(it.id, language),
    onSuccess: ({ sent, error, why }) =>
      sent
        ? void message.success(t("notify.channel.tested"))
        : void message.error(t("notify.channel.not_tested", { error: because(error, why) }), 10),
    ...options,
  });
  const remove = useMutation({ mutationFn: act.deleteChannel, ...options });
  const menu = (it: Channel) => [
    { key: "edit", label: t("notify.edit"), onClick: () => onEdit(it) },
    {
      key: "delete",
      danger: true,
      label: t("notify.delete"),
      onClick: () =>
        modal.confirm({
          title: t("notify.delete_title", { name: it.name }),
          content: t("notify.channel.delete_about"),
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
      width: 150,
      slim: 92,
      render: (it) => (
        <span className="cut" title={it.name}>
          {it.name}
        </span>
      ),
    },
    {
      id: "type",
      title: t("notify.type_title"),
      width: 104,
      render: (it) => t(`notify.type.${it.config.type}`),
    },
    {
      id: "target",
      title: t("notify.channel.target"),
      width: 170,
      render: (it) => (
        <span className="mono cut" title={it.target}>
          {it.target}
        </span>
      ),
    },
    { id: "state", title: t("notify.channel.state"), render: (it) => <State channel={it} /> },
    {
      id: "waiting",
      title: t("notify.state.waiting"),
      width: 80,
      end: true,
      render: (it) => <Count channel={it} state="waiting" />,
    },
    {
      id: "dead",
      title: t("notify.state.dead"),
      width: 80,
      end: true,
      render: (it) => <Count channel={it} state="dead" />,
    },
    {
      id: "test",
      title: t("notify.channel.test"),
      width: 80,
      slim: 66,
      render: (it) => (
        <Button
          size="small"
          loading={test.isPending && test.variables.id === it.id}
          onClick={() => test.mutate(it)}
        >
          {t("notify.channel.test")}
        </Button>
      ),
    },
    {
      id: "menu",
      title: t("finding.action"),
      width: 84,
      slim: 66,
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

/** Every number leads to what it counts. */
function Count({ channel, state }: { channel: Channel; state: "waiting" | "dead" }) {
  return (
    <Link
      to="/settings/$section"
      params={{ section: "notifications" }}
      search={{ view: "deliveries", channel: channel.id, state }}
    >
      {channel[state]}
    </Link>
  );
}
