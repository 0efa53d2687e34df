import { expect, test } from "vitest";
import type { Finding } from "../../contract";
import { byDay, timelineOf } from "./timeline";

const at = (minute: number) => new Date(Date.UTC(2026, 10, 24, 3, minute)).toISOString();

const process = (pid: number, minute: number, is_subject: boolean) => ({
  pid,
  started_at: at(minute),
  user: "www-data",
  executable: `/usr/bin/p${pid}`,
  command: "",
  is_subject,
});

test("all sources in one order, the guilty process marked, what is days old left out", () => {
  const finding = {
    first_at: at(10),
    last_at: at(12),
    count: 3,
    evidence: [
      {
        type: "processes",
        chain: [process(9, 9, true), process(5, 2, false), process(1, -60 * 24 * 30, false)],
      },
      { type: "log_lines", source: "x", omitted: 0, lines: [{ at: at(11), text: "line" }] },
    ],
    history: [{ at: at(20), by: "alice", action: "ignore", remark: "a test" }],
  } as unknown as Finding;
  expect(
    timelineOf(finding).map((it) => [it.at, it.what, it.what === "started" && it.guilty]),
  ).toEqual([
    [at(2), "started", false],
    [at(9), "started", true],
    [at(10), "first", false],
    [at(11), "line", false],
    [at(12), "last", false],
    [at(20), "decided", false],
  ]);
});

test("one occurrence is one moment", () => {
  const finding = { first_at: at(1), last_at: at(1), count: 1, evidence: [], history: [] };
  expect(timelineOf(finding as unknown as Finding)).toEqual([{ at: at(1), what: "first" }]);
});

test("moments stand under the day of the reader's clock", () => {
  const moments = [at(-60 * 24), at(5), at(6)].map((it) => ({ at: it, what: "first" as const }));
  const days = byDay(moments, "en");
  expect(days.map(([, it]) => it.length)).toEqual([1, 2]);
  expect(days.map(([day]) => day)).toEqual(
    [at(-60 * 24), at(5)].map((it) =>
      new Date(it).toLocaleDateString("en-GB", { dateStyle: "medium" }),
    ),
  );
});
