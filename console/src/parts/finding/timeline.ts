// What happened in which order, put together from everything a finding knows.
import type { Finding, Reason } from "../../contract";
import { formatDate } from "../../format";
import type { Language } from "../../prefs";

export type Moment = { at: string } & (
  | { what: "first" }
  | { what: "last"; count: number }
  | { what: "started"; user: string; executable: string; guilty: boolean }
  | { what: "line"; text: string }
  | { what: "decided"; by: string; action: string; remark: string; why: Reason | null }
);

/** Log lines beyond these say nothing new here; all of them stand under the evidence. */
const LINES_MAX = 6;

/** Oldest first. What began long before, such as the first process of the machine, is left out. */
export function timelineOf(finding: Finding): Moment[] {
  const moments: Moment[] = [{ at: finding.first_at, what: "first" }];
  if (finding.last_at !== finding.first_at)
    moments.push({ at: finding.last_at, what: "last", count: finding.count });
  const since = Date.parse(finding.first_at) - DAY_MS;
  for (const it of finding.evidence) {
    if (it.type === "processes") {
      const marked = it.chain.some((process) => process.is_subject);
      it.chain.forEach((process, index) => {
        if (Date.parse(process.started_at) < since) return;
        moments.push({
          at: process.started_at,
          what: "started",
          user: process.user,
          executable: process.executable,
          guilty: marked ? process.is_subject === true : index === 0,
        });
      });
    }
    if (it.type === "log_lines")
      for (const line of it.lines.slice(-LINES_MAX))
        moments.push({ at: line.at, what: "line", text: line.text });
  }
  for (const it of finding.history)
    moments.push({
      at: it.at,
      what: "decided",
      by: it.by,
      action: it.action,
      remark: it.remark,
      why: it.why,
    });
  return moments.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
}

/** By the day of the reader's clock: within one, the time of day says it all. */
export function byDay(moments: Moment[], language: Language): [day: string, moments: Moment[]][] {
  const days = new Map<string, Moment[]>();
  for (const it of moments) {
    const day = formatDate(Date.parse(it.at), language);
    days.set(day, [...(days.get(day) ?? []), it]);
  }
  return [...days];
}

const DAY_MS = 86_400_000;
