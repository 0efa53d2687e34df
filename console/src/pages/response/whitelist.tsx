import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { App, Button, Segmented } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../api";
import type { Whitelisted } from "../../contract";
import { formatNumber } from "../../format";
import { HostLink } from "../../parts/host-link";
import { useMay } from "../../parts/permission";
import { Pick } from "../../parts/pick";
import { useProblemText } from "../../parts/problem";
import { StateMark } from "../../parts/response/reach";
import { listSource } from "../../parts/source";
import { type Column, Table } from "../../parts/table";
import { useText } from "../../parts/text";
import { Moment, When } from "../../parts/when";
import { useWords } from "../../parts/words";
import { usePrefs } from "../../prefs";
import { type Edit, edited, type ResponseSearch, WHITELIST_STATES } from "../../search";
import { AlarmEntryDialog, LoginEntryDialog } from "./whitelist-dialogs";

const route = getRouteApi("/frame/response/$section");
const LISTS = ["alarm", "login"] as const;

/** Alarms nobody wants to hear of, and log-ins that never alarm. */
export function WhitelistSection() {
  const { t } = useTranslation();
  const search = route.useSearch();
  const navigate = useNavigate({ from: "/response/$section" });
  const may = useMay();
  const [adding, setAdding] = useState(false);
  const [changing, setChanging] = useState<Whitelisted>();
  const set = (change: Edit<ResponseSearch>) =>
    void navigate({ search: (before) => edited(before, change), replace: true });
  const list = search.list ?? "alarm";
  const state = WHITELIST_STATES.find((it) => it === search.state) ?? "active";
  const all = useQuery(read.whitelist());
  const source = listSource(all);
  const rows = source.rows?.filter((it) => it.kind === list && it.state === state);
  const columns = useColumns(list, setChanging);
  const dialog = {
    entry: changing,
    onClose: () => {
      setAdding(false);
      setChanging(undefined);
    },
  };
  const open = adding || changing !== undefined;
  return (
    <>
      <search className="filters">
        <Segmented
          aria-label={t("respond.whitelist")}
          value={list}
          options={LISTS.map((it) => ({ value: it, label: t(`whitelist.of.${it}`) }))}
          onChange={(it) => set({ list: it })}
        />
        <Pick
          label={t("finding.status")}
          value={state}
          choices={WHITELIST_STATES.map((it) => ({
            value: it,
            label: t(`whitelist.state.${it}`),
          }))}
          onPick={(it) => set({ state: it })}
        />
        {may("handle") && (
          <Button type="primary" className="filters-end" onClick={() => setAdding(true)}>
            {t("whitelist.add")}
          </Button>
        )}
      </search>
      <Table
        name={`whitelist-${list}`}
        label={t("respond.whitelist")}
        columns={columns}
        source={{ ...source, rows, total: null }}
        rowKey={(it) => it.id}
        empty={{ title: t("whitelist.none"), hint: t(`whitelist.none_hint.${list}`) }}
      />
      {open && list === "alarm" && <AlarmEntryDialog {...dialog} />}
      {open && list === "login" && <LoginEntryDialog {...dialog} />}
    </>
  );
}

function useColumns(
  list: "alarm" | "login",
  onChange: (it: Whitelisted) => void,
): Column<Whitelisted>[] {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const words = useWords();
  const say = useText();
  const { data: rules } = useQuery(read.rules());
  const ruleName = (id: string) => {
    const rule = rules?.items.find((it) => it.id === id);
    return rule ? say(rule.title) : id;
  };
  const mono = (text: string) => (
    <span className="cut mono" title={text}>
      {text}
    </span>
  );
  const own: Column<Whitelisted>[] =
    list === "alarm"
      ? [
          {
            id: "rule",
            title: t("finding.rule"),
            width: 190,
            render: (it) => {
              const text = it.rule ? ruleName(it.rule) : t("whitelist.every_rule");
              return (
                <span className="cut" title={text}>
                  {text}
                </span>
              );
            },
          },
          {
            id: "what",
            title: t("whitelist.what"),
            render: (it) => {
              const field =
                it.field === "subject" ? t("finding.subject") : words.fact(it.field ?? "");
              const judge = it.judge ? t(`whitelist.judges.${it.judge}`) : "";
              return (
                <span className="cut" title={`${field} ${judge} ${it.value}`}>
                  {field} <span className="muted">{judge}</span>{" "}
                  <span className="mono">{it.value}</span>
                </span>
              );
            },
          },
          {
            id: "expires",
            title: t("whitelist.expires"),
            width: 184,
            render: (it) => (it.expires_at ? <Moment at={it.expires_at} /> : t("whitelist.never")),
          },
        ]
      : [
          {
            id: "address",
            title: t("login.address"),
            render: (it) => mono(it.address ?? t("policy.any_address")),
          },
          {
            id: "user",
            title: t("login.user"),
            width: 180,
            render: (it) => mono(it.user ?? t("policy.any_user")),
          },
          {
            id: "host",
            title: t("finding.host"),
            width: 200,
            render: (it) =>
              it.host ? <HostLink host={it.host} /> : mono(t("whitelist.every_host")),
          },
        ];
  return [
    ...own,
    {
      id: "hits",
      title: t("whitelist.hits"),
      about: t(`whitelist.hits_about.${list}`),
      width: 84,
      slim: 60,
      end: true,
      render: (it) => formatNumber(it.hits, language),
    },
    {
      id: "last_hit",
      title: t("whitelist.last_hit"),
      width: 112,
      render: (it) => <When at={it.last_hit_at} />,
    },
    { id: "owner", title: t("whitelist.owner"), width: 90, render: (it) => it.owner || "—" },
    {
      id: "remark",
      title: t("handle.remark"),
      width: 140,
      render: (it) => (
        <span className="cut" title={it.remark}>
          {it.remark || "—"}
        </span>
      ),
    },
    {
      id: "state",
      title: t("finding.status"),
      width: 100,
      optional: true,
      render: (it) => (
        <StateMark state={it.state} name={t(`whitelist.state.${it.state}`)} pending={null} />
      ),
    },
    {
      id: "act",
      title: t("finding.action"),
      width: 168,
      slim: 150,
      render: (it) => <EntryAction it={it} onChange={onChange} />,
    },
  ];
}

interface ActionProps {
  it: Whitelisted;
  onChange: (it: Whitelisted) => void;
}

function EntryAction({ it, onChange }: ActionProps) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const say = useProblemText();
  const may = useMay();
  const queries = useQueryClient();
  const options = {
    onError: (error: unknown) => void message.error(say(error)),
    onSettled: () =>
      queries.invalidateQueries({
        predicate: ({ queryKey }) => /^\/(whitelist|policy)/.test(String(queryKey[0])),
      }),
  };
  const remove = useMutation({ mutationFn: act.removeEntry, ...options });
  const restore = useMutation({ mutationFn: act.restoreEntry, ...options });
  if (!may("handle")) return null;
  return it.state === "removed" ? (
    <Button size="small" loading={restore.isPending} onClick={() => restore.mutate(it.id)}>
      {t("handle.undo")}
    </Button>
  ) : (
    <span className="row-actions">
      <Button size="small" onClick={() => onChange(it)}>
        {t("part.change")}
      </Button>
      <Button size="small" loading={remove.isPending} onClick={() => remove.mutate(it.id)}>
        {t("policy.remove")}
      </Button>
    </span>
  );
}
