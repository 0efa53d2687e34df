// Files in the vaults of servers, with their way back.
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { App, Button, Drawer } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { act, type IsolatedFilter, read } from "../../api";
import type { IsolatedFile } from "../../contract";
import { formatBytes } from "../../format";
import { usePrefs } from "../../prefs";
import { Facts } from "../facts";
import { HostLink } from "../host-link";
import { Mono } from "../mono";
import { useMay } from "../permission";
import { pagesSource } from "../source";
import { Loaded } from "../states";
import { type Column, Table } from "../table";
import { When } from "../when";
import { StateMark, useAskAgents, Why } from "./reach";

interface Props {
  filter: IsolatedFilter;
  open: string | undefined;
  onOpen: (id: string | undefined) => void;
  withHost: boolean;
}

export function IsolatedTable({ filter, open, onOpen, withHost }: Props) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const may = useMay();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const list = useInfiniteQuery({ ...read.isolated(filter), placeholderData: (it) => it });
  const source = pagesSource(list);
  const { restore, discard } = useFileActions(() => setChosen(new Set()));
  const columns: Column<IsolatedFile>[] = [
    { id: "path", title: t("evidence.path"), render: (it) => <Mono text={it.path} max={42} /> },
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
      slim: 96,
      render: (it) => (
        <StateMark
          state={it.state}
          name={t(`respond.file_state.${it.state}`)}
          pending={it.pending}
        />
      ),
    },
    {
      id: "size",
      title: t("respond.size"),
      width: 90,
      end: true,
      render: (it) => formatBytes(it.size_bytes, language),
    },
    {
      id: "sha256",
      title: "SHA-256",
      width: 150,
      render: (it) => <Mono text={it.sha256} max={14} />,
    },
    { id: "why", title: t("respond.by"), width: 210, render: (it) => <Why it={it} /> },
    {
      id: "at",
      title: t("respond.isolated_at"),
      width: 112,
      render: (it) => <When at={it.isolated_at} />,
    },
  ];
  const held = (source.rows ?? []).filter(
    (it) => chosen.has(it.id) && it.state === "isolated" && !it.pending,
  );
  return (
    <>
      {chosen.size > 0 && (
        <section className="batch" aria-label={t("events.batch")}>
          <span>{t("events.chosen", { count: chosen.size })}</span>
          <Button
            size="small"
            type="primary"
            disabled={held.length === 0}
            onClick={() => restore(held)}
          >
            {t("respond.restore_chosen", { count: held.length })}
          </Button>
          <Button size="small" danger disabled={held.length === 0} onClick={() => discard(held)}>
            {t("respond.discard_chosen", { count: held.length })}
          </Button>
          <Button size="small" type="text" onClick={() => setChosen(new Set())}>
            {t("events.choose_none")}
          </Button>
        </section>
      )}
      <Table
        name="isolated"
        label={t("respond.isolated")}
        columns={withHost ? columns : columns.filter((it) => it.id !== "host")}
        source={source}
        rowKey={(it) => it.id}
        current={open}
        onOpen={(it) => onOpen(it.id)}
        {...(may("handle") && { choice: { ids: chosen, set: setChosen } })}
        empty={{ title: t("respond.no_isolated"), hint: t("respond.no_isolated_hint") }}
      />
      <Drawer
        open={open !== undefined}
        onClose={() => onOpen(undefined)}
        size={600}
        mask={false}
        destroyOnHidden
        title={t("respond.file")}
      >
        {open && <FileDetail id={open} />}
      </Drawer>
    </>
  );
}

/** Both say what will happen before they ask the agent. */
function useFileActions(onDone: () => void) {
  const { t } = useTranslation();
  const { modal } = App.useApp();
  const restore = useAskAgents(act.restoreFiles);
  const discard = useAskAgents(act.discardFiles);
  const confirm = (
    files: IsolatedFile[],
    what: "restore" | "discard",
    run: (ids: string[]) => Promise<unknown>,
  ) =>
    modal.confirm({
      title: t(`respond.${what}_title`, { count: files.length }),
      content: t(`respond.${what}_about`),
      okText: t(`respond.${what}`),
      cancelText: t("part.cancel"),
      okButtonProps: { danger: what === "discard" },
      onOk: () =>
        run(files.map((it) => it.id))
          .then(onDone)
          .catch(() => {}),
    });
  return {
    restore: (files: IsolatedFile[]) => confirm(files, "restore", restore.mutateAsync),
    discard: (files: IsolatedFile[]) => confirm(files, "discard", discard.mutateAsync),
  };
}

function FileDetail({ id }: { id: string }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const may = useMay();
  const detail = useQuery(read.isolatedFile(id));
  const { restore, discard } = useFileActions(() => {});
  return (
    <Loaded query={detail} lines={10}>
      {({ file, history }) => (
        <article className="finding">
          {may("handle") && file.state === "isolated" && (
            <div className="drawer-actions">
              <Button
                type="primary"
                disabled={file.pending !== null}
                onClick={() => restore([file])}
              >
                {t("respond.restore")}
              </Button>
              <Button danger disabled={file.pending !== null} onClick={() => discard([file])}>
                {t("respond.discard")}
              </Button>
            </div>
          )}
          <Facts
            facts={[
              { name: t("evidence.path"), value: <Mono text={file.path} /> },
              { name: t("finding.host"), value: <HostLink host={file.host} /> },
              {
                name: t("finding.status"),
                value: (
                  <StateMark
                    state={file.state}
                    name={t(`respond.file_state.${file.state}`)}
                    pending={file.pending}
                  />
                ),
              },
              { name: "SHA-256", value: <Mono text={file.sha256} max={40} /> },
              { name: t("respond.size"), value: formatBytes(file.size_bytes, language) },
              {
                name: t("respond.owner"),
                value: (
                  <span className="mono">
                    {file.user} ({file.uid}:{file.gid}) {file.mode.toString(8).padStart(4, "0")}
                  </span>
                ),
              },
              { name: t("respond.by"), value: <Why it={file} /> },
              {
                name: t("respond.refused"),
                value: t(file.refused ? "respond.refused_yes" : "respond.refused_no"),
              },
            ]}
          />
          <section className="finding-part">
            <h3>{t("finding.history")}</h3>
            <ol className="history">
              {history.map((it) => (
                <li key={it.at + it.state}>
                  <When at={it.at} />
                  <span>{t(`respond.file_state.${it.state}`)}</span>
                  <span className="muted">{it.by || t("respond.by_itself")}</span>
                </li>
              ))}
            </ol>
          </section>
        </article>
      )}
    </Loaded>
  );
}
