// A job that decides about many events: what it is about, how far it is, stop and undo.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, App, Button, Progress } from "antd";
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../api";
import type { HandlingJob, JobFilter } from "../../contract";
import { formatNumber } from "../../format";
import { usePrefs } from "../../prefs";
import { useMay } from "../permission";
import { useProblemText } from "../problem";
import { Loaded } from "../states";
import { useText } from "../text";
import { When } from "../when";
import { useWords } from "../words";
import { useDecisionName } from "./status";

/** Between two looks at a job that is at work. */
const LOOK_MS = 700;
/** Paths whose answers a job changes. */
const TOUCHED = /^\/(findings|dashboard|hosts|handling)/;

const isAtWork = (job: Pick<HandlingJob, "state">): boolean =>
  job.state === "running" || job.state === "undoing";

/** In words, which events a job is about. */
export function useJobSubject(filter: Partial<JobFilter>): string {
  const { t } = useTranslation();
  const say = useText();
  const words = useWords();
  const { data: rules } = useQuery(read.rules());
  const { data: same } = useQuery({
    ...read.finding(filter.same_as ?? ""),
    enabled: Boolean(filter.same_as),
  });
  const { data: groups } = useQuery({ ...read.groups(), enabled: Boolean(filter.group) });
  const { data: host } = useQuery({
    ...read.host(filter.host ?? ""),
    enabled: Boolean(filter.host),
  });
  if (filter.same_as) return t("job.same", { text: same ? say(same.sentence) : "…" });
  const rule = rules?.items.find((it) => it.id === filter.rule);
  const parts = [
    filter.kind && !filter.category && !filter.rule && t(`kind.${filter.kind}`),
    filter.category && words.category(filter.category),
    filter.rule && (rule ? say(rule.title) : filter.rule),
    filter.technique,
    filter.severity && t(`severity.${filter.severity}`),
    filter.group && (groups?.items.find((it) => it.id === filter.group)?.name ?? filter.group),
    filter.host && (host?.name ?? filter.host),
    filter.incident && t("events.only_incident"),
    filter.q && `“${filter.q}”`,
    (filter.since || filter.until) && t("job.in_time"),
  ];
  return t("job.all_of", { what: parts.filter(Boolean).join(" · ") });
}

export function JobProgress({ id }: { id: string }) {
  const queries = useQueryClient();
  const job = useQuery({
    ...read.job(id),
    refetchInterval: ({ state }) => (state.data && !isAtWork(state.data) ? false : LOOK_MS),
  });
  const state = job.data?.state;
  const before = useRef(state);
  useEffect(() => {
    if (before.current === state) return;
    before.current = state;
    void queries.invalidateQueries({
      predicate: ({ queryKey }) =>
        TOUCHED.test(String(queryKey[0])) && queryKey[0] !== `/handling/jobs/${id}`,
    });
  }, [state, queries, id]);
  return (
    <Loaded query={job} lines={3}>
      {(it) => <JobView job={it} />}
    </Loaded>
  );
}

function JobView({ job }: { job: HandlingJob }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const did = useDecisionName();
  const subject = useJobSubject(job.filter as Partial<JobFilter>);
  const number = (it: number) => formatNumber(it, language);
  const undoing = job.state === "undoing" || job.state === "undone";
  const share = undoing
    ? job.undone / Math.max(job.done, 1)
    : (job.done + job.skipped) / Math.max(job.total, 1);
  const percent = isAtWork(job) ? Math.min(99, Math.floor(share * 100)) : 100;
  return (
    <article className="job">
      <div className="job-head">
        <b>{did(job.action)}</b>
        <span className="state-mark" data-state={job.state}>
          {t(`job.state.${job.state}`)}
        </span>
        <span className="muted">
          {job.by} · <When at={job.started_at} />
        </span>
        <JobActions job={job} />
      </div>
      <p>{subject}</p>
      {isAtWork(job) && <Progress percent={percent} size="small" />}
      <p className="muted">
        {undoing
          ? t("job.undone", { undone: number(job.undone), done: number(job.done) })
          : t("job.done", { done: number(job.done), total: number(job.total) })}
        {job.skipped > 0 && ` ${t("job.skipped", { shown: number(job.skipped) })}`}
      </p>
      {job.state === "limit" && <Alert type="info" showIcon title={t("job.limit")} />}
      {job.reason && <Alert type="error" showIcon title={job.reason} />}
    </article>
  );
}

function JobActions({ job }: { job: HandlingJob }) {
  const { t } = useTranslation();
  const may = useMay();
  const { message } = App.useApp();
  const say = useProblemText();
  const queries = useQueryClient();
  const options = {
    onSuccess: (it: HandlingJob) => queries.setQueryData([`/handling/jobs/${job.id}`], it),
    onError: (error: unknown) => void message.error(say(error)),
    onSettled: () => queries.invalidateQueries({ queryKey: ["/handling/jobs"] }),
  };
  const stop = useMutation({ mutationFn: () => act.stopJob(job.id), ...options });
  const undo = useMutation({ mutationFn: () => act.undoJob(job.id), ...options });
  if (!may("handle")) return null;
  if (job.state === "running")
    return (
      <Button size="small" loading={stop.isPending} onClick={() => stop.mutate()}>
        {t("job.stop")}
      </Button>
    );
  if (job.state === "undoing" || job.state === "undone" || job.done === 0) return null;
  return (
    <Button size="small" loading={undo.isPending} onClick={() => undo.mutate()}>
      {t("job.undo", { count: job.done })}
    </Button>
  );
}

/** The latest jobs, for the handling history; nothing when there were none. */
export function JobList() {
  const { t } = useTranslation();
  const { data } = useQuery(read.jobs());
  const shown = (data?.items ?? []).slice(0, SHOWN_MAX);
  if (shown.length === 0) return null;
  return (
    <details className="jobs" open={shown.some(isAtWork) || undefined}>
      <summary>{t("job.latest", { count: shown.length })}</summary>
      <ul>
        {shown.map((it) => (
          <li key={it.id}>
            <JobProgress id={it.id} />
          </li>
        ))}
      </ul>
    </details>
  );
}

const SHOWN_MAX = 5;
