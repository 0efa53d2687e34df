// Everything that narrows the list of events; all of it stands in the URL.
import { useQuery } from "@tanstack/react-query";
import { Button, Input, Skeleton } from "antd";
import { lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";
import { read } from "../../api";
import { HostFilter } from "../../parts/host-pick";
import { Pick } from "../../parts/pick";
import { useText } from "../../parts/text";
import { TextFilter } from "../../parts/text-filter";
import { type Edit, type EventsSearch, SEVERITIES, SPANS, STATUSES } from "../../search";

/** With its calendar it is larger than the page, and seldom needed. */
const MomentInput = lazy(() =>
  import("../../parts/moment-input").then((it) => ({ default: it.MomentInput })),
);

interface Props {
  search: EventsSearch;
  set: (change: Edit<EventsSearch>) => void;
}

/** What is neither a filter nor taken away with them. */
const KEPT = ["open", "kind"];
export const CLEAR: Edit<EventsSearch> = {
  q: undefined,
  status: undefined,
  severity: undefined,
  group: undefined,
  span: undefined,
  since: undefined,
  until: undefined,
  technique: undefined,
  rule: undefined,
  incident: undefined,
  host: undefined,
  category: undefined,
};
const TECHNIQUE = /^T[0-9]{4}(\.[0-9]{3})?$/;

export const isNarrowed = (search: EventsSearch): boolean =>
  Object.keys(search).some((it) => !KEPT.includes(it));

export function Filters({ search, set }: Props) {
  const { t } = useTranslation();
  const say = useText();
  const { data: groups } = useQuery(read.groups());
  const { data: rules } = useQuery(read.rules());
  return (
    <search className="filters">
      <TextFilter
        label={t("events.text")}
        value={search.q}
        width={200}
        onSettle={(q) => set({ q })}
      />
      <Pick
        label={t("finding.status")}
        value={search.status}
        width={120}
        choices={STATUSES.map((it) => ({ value: it, label: t(`status.${it}`) }))}
        onPick={(status) => set({ status })}
      />
      <Pick
        label={t("finding.severity")}
        value={search.severity}
        width={110}
        choices={SEVERITIES.map((it) => ({ value: it, label: t(`severity.${it}`) }))}
        onPick={(severity) => set({ severity })}
      />
      <HostFilter host={search.host} onPick={(host) => set({ host })} />
      <Pick
        label={t("servers.group")}
        value={search.group}
        width={110}
        search
        choices={(groups?.items ?? []).map((it) => ({ value: it.id, label: it.name }))}
        onPick={(group) => set({ group })}
      />
      <Pick
        label={t("events.rule")}
        value={search.rule}
        width={100}
        search
        choices={(rules?.items ?? []).map((it) => ({
          value: it.id,
          label: `${it.id} · ${say(it.title)}`,
        }))}
        onPick={(rule) => set({ rule })}
      />
      <TechniqueFilter value={search.technique} onSettle={(technique) => set({ technique })} />
      <TimeFilter search={search} set={set} />
      {search.incident && (
        <Button onClick={() => set({ incident: undefined })}>{t("events.only_incident")} ×</Button>
      )}
      {isNarrowed(search) && (
        <Button type="link" onClick={() => set(CLEAR)}>
          {t("part.clear")}
        </Button>
      )}
    </search>
  );
}

interface TechniqueProps {
  value: string | undefined;
  onSettle: (value: string | undefined) => void;
}

/** Only whole ids are asked for; sub-techniques come with their technique. */
function TechniqueFilter({ value, onSettle }: TechniqueProps) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState(value ?? "");
  const good = typed === "" || TECHNIQUE.test(typed);
  return (
    <Input
      key={value ?? ""}
      allowClear
      style={{ width: 158 }}
      aria-label={t("finding.technique")}
      placeholder={t("events.technique")}
      status={good ? "" : "warning"}
      defaultValue={value ?? ""}
      onChange={(event) => {
        const text = event.target.value.trim().toUpperCase();
        setTyped(text);
        if (text === "") onSettle(undefined);
      }}
      onPressEnter={() => good && onSettle(typed || undefined)}
      onBlur={() => good && typed !== (value ?? "") && onSettle(typed || undefined)}
    />
  );
}

/** The last hours or days, or any two moments. */
function TimeFilter({ search, set }: Props) {
  const { t } = useTranslation();
  const [ranged, setRanged] = useState(false);
  const range = ranged || search.since !== undefined || search.until !== undefined;
  return (
    <>
      <Pick
        label={t("events.span")}
        value={range ? "range" : search.span}
        width={120}
        choices={[
          ...SPANS.map((it) => ({ value: it, label: t(`span.${it}`) })),
          { value: "range" as const, label: t("events.range") },
        ]}
        onPick={(it) => {
          setRanged(it === "range");
          set({ span: it === "range" ? undefined : it, since: undefined, until: undefined });
        }}
      />
      {range && (
        <span className="range">
          <Suspense fallback={<Skeleton.Input active style={{ width: 348 }} />}>
            {(["since", "until"] as const).map((side) => (
              <MomentInput
                key={side}
                label={t(`events.${side}`)}
                value={search[side]}
                at={side === "since" ? "start" : "end"}
                onChange={(it) => set({ [side]: it, span: undefined })}
              />
            ))}
          </Suspense>
        </span>
      )}
    </>
  );
}
