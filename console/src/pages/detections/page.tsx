import { useQuery } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { Drawer } from "antd";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { read } from "../../api";
import type { Detection } from "../../contract";
import { formatNumber, formatPercent } from "../../format";
import { PageHead } from "../../parts/page-head";
import { Pick } from "../../parts/pick";
import { SeverityMark } from "../../parts/severity";
import { listSource } from "../../parts/source";
import { type Column, Table } from "../../parts/table";
import { useText } from "../../parts/text";
import { TextFilter } from "../../parts/text-filter";
import { useWords } from "../../parts/words";
import { usePrefs } from "../../prefs";
import { type DetectionsSearch, type Edit, edited, ON_STATES, SEVERITIES } from "../../search";
import { DetectionDetail, RuleHits, RuleSwitchMark } from "./detail";

const route = getRouteApi("/frame/detections");

/** Every rule: what it sees, what proves it, how it does here, and where it is on. */
export function DetectionsPage() {
  const { t } = useTranslation();
  const say = useText();
  const words = useWords();
  const search = route.useSearch();
  const navigate = useNavigate({ from: "/detections" });
  const set = (change: Edit<DetectionsSearch>) =>
    void navigate({ search: (before) => edited(before, change), replace: true });
  const query = useQuery(read.detections());
  const all = query.data?.items;
  const rows = useMemo(() => {
    const shown = all?.filter((it) => fits(it, search));
    if (search.sort === "hits") shown?.sort((a, b) => b.found_30d - a.found_30d);
    if (search.sort === "false_alarms")
      shown?.sort((a, b) => (b.false_alarm_rate ?? -1) - (a.false_alarm_rate ?? -1));
    return shown;
  }, [all, search]);
  const columns = useColumns();
  const categories = [...new Set(all?.map((it) => it.category))].sort();
  const open = all?.find((it) => it.id === search.open);
  const cases = all?.reduce((sum, it) => sum + it.cases_fire + it.cases_quiet, 0) ?? 0;
  return (
    <div className="page">
      <PageHead
        title={t("frame.detections")}
        note={all && t("detection.about", { count: all.length, cases })}
      />
      <search className="filters">
        <TextFilter label={t("detection.text")} value={search.q} onSettle={(q) => set({ q })} />
        <Pick
          label={t("finding.category")}
          value={search.category}
          width={170}
          search
          choices={categories.map((it) => ({ value: it, label: words.category(it) }))}
          onPick={(category) => set({ category })}
        />
        <Pick
          label={t("finding.severity")}
          value={search.severity}
          choices={SEVERITIES.map((it) => ({ value: it, label: t(`severity.${it}`) }))}
          onPick={(severity) => set({ severity })}
        />
        <Pick
          label={t("detection.on")}
          value={search.on}
          choices={ON_STATES.map((it) => ({ value: it, label: t(`detection.state.${it}`) }))}
          onPick={(on) => set({ on })}
        />
      </search>
      <Table
        name="detections"
        label={t("frame.detections")}
        columns={columns}
        source={{ ...listSource(query), rows, total: null }}
        rowKey={(it) => it.id}
        current={search.open}
        onOpen={(it) => set({ open: it.id })}
        sort={{ column: search.sort ?? "", order: "desc" }}
        onSort={(column) => set({ sort: column === "hits" ? "hits" : "false_alarms" })}
        empty={{ title: t("detection.no_match"), hint: t("events.no_match_hint") }}
      />
      <Drawer
        open={open !== undefined}
        onClose={() => set({ open: undefined })}
        size={640}
        mask={false}
        destroyOnHidden
        title={open && say(open.title)}
      >
        {open && <DetectionDetail detection={open} />}
      </Drawer>
    </div>
  );
}

function fits(it: Detection, search: DetectionsSearch): boolean {
  const text = search.q?.toLowerCase();
  const inText = [it.id, it.title.en, it.title.zh, it.sentence.en, ...it.techniques];
  return (
    (!text || inText.some((part) => part.toLowerCase().includes(text))) &&
    (!search.category || it.category === search.category) &&
    (!search.severity || it.severity === search.severity) &&
    (!search.on || stateOf(it) === search.on)
  );
}

/** On, off, or not the same in all groups. */
export const stateOf = (it: Detection): (typeof ON_STATES)[number] =>
  it.groups_on.length + it.groups_off.length > 0 ? "mixed" : it.on ? "on" : "off";

function useColumns(): Column<Detection>[] {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const say = useText();
  const words = useWords();
  return [
    {
      id: "id",
      title: t("finding.rule"),
      width: 126,
      render: (it) => <span className="mono">{it.id}</span>,
    },
    {
      id: "title",
      title: t("detection.title"),
      render: (it) => (
        <span className="cut" title={say(it.title)}>
          {say(it.title)}
        </span>
      ),
    },
    {
      id: "category",
      title: t("finding.category"),
      width: 170,
      render: (it) => (
        <span className="cut" title={words.category(it.category)}>
          {words.category(it.category)}
        </span>
      ),
    },
    {
      id: "severity",
      title: t("finding.severity"),
      width: 100,
      slim: 36,
      render: (it) => <SeverityMark severity={it.severity} />,
    },
    {
      id: "techniques",
      title: t("finding.technique"),
      width: 110,
      render: (it) => (
        <span className="cut mono" title={it.techniques.join(" ")}>
          {it.techniques[0] ?? "—"}
          {it.techniques.length > 1 && <span className="muted"> +{it.techniques.length - 1}</span>}
        </span>
      ),
    },
    {
      id: "cases",
      title: t("detection.cases"),
      about: t("detection.cases_about"),
      width: 86,
      end: true,
      render: (it) => formatNumber(it.cases_fire + it.cases_quiet, language),
    },
    {
      id: "hits",
      title: t("detection.hits"),
      about: t("detection.hits_about"),
      width: 132,
      end: true,
      sortable: true,
      render: (it) => <RuleHits detection={it} />,
    },
    {
      id: "false_alarms",
      title: t("detection.false_alarms"),
      about: t("detection.false_alarms_about"),
      width: 124,
      end: true,
      sortable: true,
      render: (it) =>
        it.false_alarm_rate === null ? (
          <span className="muted">—</span>
        ) : (
          formatPercent(it.false_alarm_rate, language)
        ),
    },
    {
      id: "on",
      title: t("detection.on"),
      width: 120,
      slim: 86,
      render: (it) => <RuleSwitchMark state={stateOf(it)} />,
    },
  ];
}
