// What people call a row of an asset table.
import type { Change, ColumnForm, TableSpec } from "../contract";

/** Forms whose values identify a row to machines only. */
const NUMBERS: ColumnForm[] = ["integer", "time", "boolean"];
const NAMES: ColumnForm[] = ["text", "path"];

const text = (value: unknown): string =>
  typeof value === "string" ? value : typeof value === "number" ? String(value) : "";

/** `more` tells rows of one name apart: a process by its command line. */
export function rowName(
  spec: TableSpec | undefined,
  { key, row }: Pick<Change, "key" | "row">,
): { name: string; more: string } {
  const formOf = (name: string) => spec?.columns.find((it) => it.name === name)?.form;
  const ofKey = (spec?.key ?? [])
    .filter((it) => !NUMBERS.includes(formOf(it) ?? "text"))
    .map((it) => text(row[it]))
    .filter(Boolean);
  if (ofKey.length > 0) return { name: ofKey.join(" · "), more: "" };
  const [name, more = ""] = (spec?.columns ?? [])
    .filter((it) => it.shown && !it.volatile && NAMES.includes(it.form))
    .map((it) => text(row[it.name]))
    .filter(Boolean);
  return name ? { name, more } : { name: key.replaceAll("|", " · "), more: "" };
}
