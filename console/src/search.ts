// Search parameters of every page: the filters that stand in the URL, as plain text.

const pick = <K extends string>(raw: Record<string, unknown>, names: readonly K[]) => {
  const out: Partial<Record<K, string>> = {};
  for (const name of names) {
    const value = raw[name];
    if (typeof value === "string" && value !== "") out[name] = value;
  }
  return out;
};

const choice = <const C extends string>(value: string | undefined, choices: readonly C[]) =>
  choices.find((it) => it === value);

/** Leaves out what is not given: an absent filter is no filter. */
function compact<T extends Record<string, unknown>>(fields: T) {
  return Object.fromEntries(Object.entries(fields).filter(([, it]) => it !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

export const parseSearch = (text: string): Record<string, string> =>
  Object.fromEntries(new URLSearchParams(text));

export function stringifySearch(search: Record<string, unknown>): string {
  const given = Object.entries(search).filter(([, it]) => it !== undefined && it !== "");
  const text = new URLSearchParams(given.map(([name, it]) => [name, String(it)])).toString();
  return text === "" ? "" : `?${text}`;
}

export const signInSearch = (raw: Record<string, unknown>) => pick(raw, ["next"]);

export function dashboardSearch(raw: Record<string, unknown>) {
  return compact({ days: choice(pick(raw, ["days"]).days, ["7", "30"]) });
}

export const SPANS = ["24h", "7d", "30d"] as const;
export type Span = (typeof SPANS)[number];

export function eventsSearch(raw: Record<string, unknown>) {
  const { span, ...rest } = pick(raw, [
    "kind",
    "category",
    "severity",
    "status",
    "host",
    "group",
    "q",
    "span",
    "open",
  ]);
  return compact({ ...rest, span: choice(span, SPANS) });
}
export type EventsSearch = ReturnType<typeof eventsSearch>;

export function serversSearch(raw: Record<string, unknown>) {
  const it = pick(raw, ["q", "group", "connection", "protection", "risk", "sort", "order"]);
  return compact({
    ...it,
    sort: choice(it.sort, ["name", "risk", "last_seen"]),
    order: choice(it.order, ["asc", "desc"]),
  });
}
export type ServersSearch = ReturnType<typeof serversSearch>;

export const SERVER_TABS = [
  "overview",
  "events",
  "assets",
  "changes",
  "protection",
  "activity",
] as const;

export function serverSearch(raw: Record<string, unknown>) {
  const { tab, ...rest } = pick(raw, ["tab", "kind", "q", "open", "op"]);
  return compact({ ...rest, tab: choice(tab, SERVER_TABS) });
}

export function assetsSearch(raw: Record<string, unknown>) {
  const { view, order, ...rest } = pick(raw, [
    "view",
    "q",
    "host",
    "group",
    "column",
    "value",
    "order",
  ]);
  return compact({
    ...rest,
    view: choice(view, ["values", "rows"]),
    order: choice(order, ["common", "rare"]),
  });
}
export type AssetsSearch = ReturnType<typeof assetsSearch>;

export const changesSearch = (raw: Record<string, unknown>) => pick(raw, ["kind", "host", "op"]);
