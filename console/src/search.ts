// Search parameters of every page: the filters that stand in the URL, as plain text.
// A word that is no choice is left out, as if it had not been written.

type Raw = Record<string, unknown>;

export const KINDS = ["asset_risk", "vulnerability", "unsafe_setting", "alarm"] as const;
export const SEVERITIES = ["critical", "high", "medium", "low"] as const;
export const STATUSES = ["unhandled", "handled", "resolved"] as const;
export const CONNECTIONS = ["online", "offline", "never"] as const;
export const PROTECTIONS = ["protected", "degraded", "unprotected"] as const;
export const OPS = ["added", "removed", "changed"] as const;
export const ISOLATED_STATES = ["isolated", "restored", "discarded"] as const;
export const BLOCKED_STATES = ["active", "expired", "removed"] as const;
export const WHITELIST_STATES = ["active", "expired", "removed"] as const;
export const ON_STATES = ["on", "off", "mixed"] as const;
export const DECISIONS = [
  "ignore",
  "mark_handled",
  "isolate_and_kill",
  "block_ip",
  "login_whitelist",
  "alarm_whitelist",
  "undo",
] as const;
export const SPANS = ["24h", "7d", "30d"] as const;
export type Span = (typeof SPANS)[number];

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;

const choice = <const C extends string>(value: unknown, choices: readonly C[]): C | undefined =>
  choices.find((it) => it === value);

const matching = (value: unknown, pattern: RegExp): string | undefined =>
  typeof value === "string" && pattern.test(value) ? value : undefined;

/** A point in time as the API takes it. */
const moment = (value: unknown): string | undefined =>
  typeof value === "string" && !Number.isNaN(Date.parse(value)) ? value : undefined;

/** Leaves out what is not given: an absent filter is no filter. */
function compact<T extends object>(fields: T) {
  return Object.fromEntries(Object.entries(fields).filter(([, it]) => it !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/** A change to some filters; `undefined` takes one away. */
export type Edit<T> = { [K in keyof T]?: T[K] | undefined };

export const edited = <T extends object>(before: T, change: Edit<T>): T =>
  compact({ ...before, ...change }) as T;

export const parseSearch = (url: string): Record<string, string> =>
  Object.fromEntries(new URLSearchParams(url));

export function stringifySearch(search: Raw): string {
  const given = Object.entries(search).filter(([, it]) => it !== undefined && it !== "");
  const url = new URLSearchParams(given.map(([name, it]) => [name, String(it)])).toString();
  return url === "" ? "" : `?${url}`;
}

export const signInSearch = (raw: Raw) => compact({ next: text(raw.next) });

export const dashboardSearch = (raw: Raw) => compact({ days: choice(raw.days, ["7", "30"]) });

export const eventsSearch = (raw: Raw) =>
  compact({
    kind: choice(raw.kind, KINDS),
    category: text(raw.category),
    severity: choice(raw.severity, SEVERITIES),
    status: choice(raw.status, STATUSES),
    host: text(raw.host),
    group: text(raw.group),
    q: text(raw.q),
    span: choice(raw.span, SPANS),
    since: moment(raw.since),
    until: moment(raw.until),
    technique: matching(raw.technique, /^T[0-9]{4}(\.[0-9]{3})?$/),
    rule: text(raw.rule),
    incident: text(raw.incident),
    open: text(raw.open),
  });
export type EventsSearch = ReturnType<typeof eventsSearch>;

export const serversSearch = (raw: Raw) =>
  compact({
    q: text(raw.q),
    group: text(raw.group),
    connection: choice(raw.connection, CONNECTIONS),
    protection: choice(raw.protection, PROTECTIONS),
    risk: choice(raw.risk, SEVERITIES),
    sort: choice(raw.sort, ["name", "risk", "last_seen"]),
    order: choice(raw.order, ["asc", "desc"]),
  });
export type ServersSearch = ReturnType<typeof serversSearch>;

export const SERVER_TABS = [
  "overview",
  "events",
  "assets",
  "changes",
  "protection",
  "activity",
] as const;

export const serverSearch = (raw: Raw) =>
  compact({
    tab: choice(raw.tab, SERVER_TABS),
    kind: text(raw.kind),
    q: text(raw.q),
    open: text(raw.open),
  });

export const NOTIFY_VIEWS = ["channels", "routes", "deliveries", "reach"] as const;
export const DELIVERY_STATES = ["waiting", "sent", "dead"] as const;

export const settingsSearch = (raw: Raw) =>
  compact({
    view: choice(raw.view, NOTIFY_VIEWS),
    channel: text(raw.channel),
    state: choice(raw.state, DELIVERY_STATES),
  });

export const assetsSearch = (raw: Raw) =>
  compact({
    view: choice(raw.view, ["values", "rows"]),
    q: text(raw.q),
    group: text(raw.group),
    column: text(raw.column),
    value: text(raw.value),
    order: choice(raw.order, ["common", "rare"]),
  });
export type AssetsSearch = ReturnType<typeof assetsSearch>;

export const responseSearch = (raw: Raw) =>
  compact({
    q: text(raw.q),
    state: text(raw.state),
    host: text(raw.host),
    group: text(raw.group),
    kind: choice(raw.kind, KINDS),
    list: choice(raw.list, ["alarm", "login"]),
    open: text(raw.open),
  });
export type ResponseSearch = ReturnType<typeof responseSearch>;

export const detectionsSearch = (raw: Raw) =>
  compact({
    q: text(raw.q),
    category: text(raw.category),
    severity: choice(raw.severity, SEVERITIES),
    on: choice(raw.on, ON_STATES),
    sort: choice(raw.sort, ["hits", "false_alarms"]),
    open: text(raw.open),
  });
export type DetectionsSearch = ReturnType<typeof detectionsSearch>;

export const changesSearch = (raw: Raw) =>
  compact({ kind: text(raw.kind), host: text(raw.host), op: choice(raw.op, OPS) });
export type ChangesSearch = ReturnType<typeof changesSearch>;
