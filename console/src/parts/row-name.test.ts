import { expect, test } from "vitest";
import type { ColumnForm, TableSpec } from "../contract";
import { rowName } from "./row-name";

const text = { en: "", zh: "" };
const spec = (key: string[], columns: [name: string, form: ColumnForm][]): TableSpec => ({
  kind: "any",
  title: text,
  about: text,
  key,
  columns: columns.map(([name, form]) => ({
    name,
    form,
    title: text,
    about: "",
    volatile: false,
    shown: true,
  })),
});
const PROCESS = spec(
  ["pid", "start_ticks"],
  [
    ["pid", "integer"],
    ["name", "text"],
    ["user", "user"],
    ["command", "text"],
    ["start_ticks", "integer"],
  ],
);
const PORT = spec(
  ["protocol", "port", "namespace"],
  [
    ["protocol", "text"],
    ["port", "port"],
    ["namespace", "integer"],
  ],
);

test.each([
  [
    "a process by name and command",
    PROCESS,
    { pid: 7, name: "sshd", user: "root", command: "sshd -D", start_ticks: 99 },
    { name: "sshd", more: "sshd -D" },
  ],
  [
    "a process that shows no command",
    PROCESS,
    { pid: 7, name: "sshd", start_ticks: 99 },
    { name: "sshd", more: "" },
  ],
  ["a port by its key", PORT, { protocol: "tcp", port: 22 }, { name: "tcp · 22", more: "" }],
  ["nothing known", undefined, {}, { name: "7 · 99", more: "" }],
] as const)("%s", (_, table, row, name) => {
  expect(rowName(table, { key: "7|99", row })).toEqual(name);
});
