import { useQuery } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { Segmented } from "antd";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { type FindingFilter, read } from "../../api";
import type { FindingCounters, FindingKind } from "../../contract";
import { formatNumber } from "../../format";
import { FindingList } from "../../parts/finding/list";
import { PageHead } from "../../parts/page-head";
import { SeverityShape } from "../../parts/severity";
import { useNow } from "../../parts/when";
import { useWords } from "../../parts/words";
import { usePrefs } from "../../prefs";
import { type Edit, type EventsSearch, edited, KINDS, SEVERITIES, type Span } from "../../search";
import { CLEAR, Filters, isNarrowed } from "./filters";
import { Views } from "./views";

const route = getRouteApi("/frame/events");

const SPAN_MS: Record<Span, number> = {
  "24h": 86_400_000,
  "7d": 7 * 86_400_000,
  "30d": 30 * 86_400_000,
};
const SINCE_STEP_MS = 3_600_000;

export function EventsPage() {
  const { t } = useTranslation();
  const search = route.useSearch();
  const navigate = useNavigate({ from: "/events" });
  const set = (change: Edit<EventsSearch>) =>
    void navigate({ search: (before) => edited(before, change), replace: true });
  const filter = useFilter(search);

  return (
    <div className="page">
      <PageHead title={t("frame.events")} />
      <div className="kinds-line">
        <Kinds search={search} onPick={(kind) => set({ kind, category: undefined })} />
        <Views search={search} onPick={(view) => set({ ...CLEAR, kind: undefined, ...view })} />
      </div>
      <Filters search={search} set={set} />
      <Categories search={search} onPick={(category) => set({ category })} />
      <FindingList
        filter={filter}
        withHost
        open={search.open}
        onOpen={(open) => set({ open })}
        empty={
          isNarrowed(search)
            ? { title: t("events.no_match"), hint: t("events.no_match_hint") }
            : { title: t("events.none"), hint: t("events.none_hint") }
        }
      />
    </div>
  );
}

/** The URL's filters as the API takes them; the span becomes a moment, rounded so that it stays the same for an hour. */
function useFilter(search: EventsSearch): FindingFilter {
  const now = useNow();
  const hour = Math.floor(now / SINCE_STEP_MS) * SINCE_STEP_MS;
  return useMemo(() => {
    const { open: _, span, ...rest } = search;
    if (!span) return rest;
    return { ...rest, since: new Date(hour - SPAN_MS[span]).toISOString() };
  }, [search, hour]);
}

/** Kinds with what waits in each; a kind that nothing checks yet is left out. */
function Kinds(props: { search: EventsSearch; onPick: (kind: FindingKind | undefined) => void }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const { data } = useQuery(read.counters({}));
  const { data: rules } = useQuery(read.rules());
  const open = (kind?: FindingKind) => sum(data, (it) => !kind || it.kind === kind);
  const checked = KINDS.filter(
    (kind) => kind === props.search.kind || !rules || rules.items.some((it) => it.kind === kind),
  );
  const label = (text: string, count: number) => (
    <span>
      {text}
      <span className="count" data-some={count > 0 || undefined}>
        {data ? formatNumber(count, language) : ""}
      </span>
    </span>
  );
  return (
    <Segmented
      className="kinds"
      aria-label={t("events.kind")}
      value={props.search.kind ?? "all"}
      onChange={(kind) => props.onPick(KINDS.find((it) => it === kind))}
      options={[
        { value: "all", label: label(t("events.all"), open()) },
        ...checked.map((kind) => ({ value: kind, label: label(t(`kind.${kind}`), open(kind)) })),
      ]}
    />
  );
}

/** What waits, by category, the most first: each is a filter. */
function Categories(props: { search: EventsSearch; onPick: (it: string | undefined) => void }) {
  const { language } = usePrefs();
  const { t } = useTranslation();
  const words = useWords();
  const { kind, category, host, group } = props.search;
  const { data } = useQuery(
    read.counters({ ...(kind && { kind }), ...(host && { host }), ...(group && { group }) }),
  );
  const names = [...new Set(data?.open.map((it) => it.category))];
  if (category && !names.includes(category)) names.unshift(category);
  const rows = names
    .map((it) => ({
      id: it,
      count: sum(data, (row) => row.category === it),
      worst: SEVERITIES.find((severity) =>
        data?.open.some((row) => row.category === it && row.severity === severity),
      ),
    }))
    .sort((a, b) => b.count - a.count);
  if (rows.length === 0) return null;
  return (
    <ul className="chips" aria-label={t("finding.category")}>
      {rows.map((it) => (
        <li key={it.id}>
          <button
            type="button"
            className="chip"
            aria-pressed={it.id === category}
            onClick={() => props.onPick(it.id === category ? undefined : it.id)}
          >
            {it.worst && <SeverityShape severity={it.worst} />}
            {words.category(it.id)}
            <b>{formatNumber(it.count, language)}</b>
          </button>
        </li>
      ))}
    </ul>
  );
}

const sum = (
  data: FindingCounters | undefined,
  keep: (it: FindingCounters["open"][number]) => boolean,
): number => (data?.open ?? []).filter(keep).reduce((total, it) => total + it.count, 0);
