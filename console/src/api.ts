// Every operation of the API that the console uses, once.
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import type {
  ApiToken,
  AssetKind,
  AssetRow,
  AssetSummary,
  AuditEntry,
  Change,
  Dashboard,
  EnrolToken,
  Finding,
  FindingAnswer,
  FindingCounters,
  FindingItem,
  HandleAction,
  Host,
  HostAnswer,
  HostDetail,
  Login,
  Me,
  NamedRef,
  Outcome,
  Page,
  Policy,
  PolicyState,
  Role,
  Rule,
  Scan,
  SearchHit,
  Settings,
  Text,
  User,
} from "./contract";
import { type Query, request } from "./http";

const PAGE_ROWS = 100;

function get<T>(path: string, query?: Query) {
  return queryOptions({
    queryKey: [path, query ?? {}],
    queryFn: ({ signal }) => request<T>("GET", path, { ...(query && { query }), signal }),
  });
}

function pages<T>(path: string, query: Query = {}) {
  return infiniteQueryOptions({
    queryKey: [path, "pages", query],
    queryFn: ({ signal, pageParam }) =>
      request<Page<T>>("GET", path, {
        query: { ...query, limit: PAGE_ROWS, cursor: pageParam },
        signal,
      }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next ?? undefined,
  });
}

export interface HostFilter {
  q?: string;
  group?: string;
  connection?: string;
  protection?: string;
  /** At least this severe. */
  risk?: string;
  sort?: "name" | "risk" | "last_seen";
  order?: "asc" | "desc";
}

export interface FindingFilter {
  kind?: string;
  category?: string;
  severity?: string;
  status?: string;
  host?: string;
  group?: string;
  q?: string;
  since?: string;
}

/** Reads; the query keys start with the path, so that live events can refresh by path. */
export const read = {
  session: () => get<Me>("/session"),
  meta: () => get<{ version: string; name: string; uptime_s: number }>("/meta"),
  dashboard: (days: 7 | 30) => get<Dashboard>("/dashboard", { days }),
  hosts: (filter: HostFilter) => pages<Host>("/hosts", { ...filter }),
  host: (id: string) =>
    queryOptions({
      queryKey: [`/hosts/${id}`],
      queryFn: async ({ signal }): Promise<HostDetail> => {
        const { host, ...rest } = await request<HostAnswer>("GET", `/hosts/${id}`, { signal });
        return { ...host, ...rest };
      },
    }),
  scan: (id: string) => get<Scan>(`/scans/${id}`),
  hostScans: (id: string) => get<Page<Scan>>(`/hosts/${id}/scans`),
  hostLogins: (id: string) => pages<Login>(`/hosts/${id}/logins`),
  groups: () => get<Page<NamedRef & { hosts?: number }>>("/groups"),
  assetKinds: () => get<Page<AssetKind>>("/asset-kinds"),
  assets: (kind: string, filter: Query) => pages<AssetRow>(`/assets/${kind}`, filter),
  assetSummary: (kind: string, filter: Query) =>
    pages<AssetSummary>(`/assets/${kind}/summary`, filter),
  changes: (filter: Query) => pages<Change>("/changes", filter),
  findings: (filter: FindingFilter) => pages<FindingItem>("/findings", { ...filter }),
  latestFindings: (filter: FindingFilter, limit: number) =>
    get<Page<FindingItem>>("/findings", { ...filter, limit }),
  counters: (filter: FindingFilter) => get<FindingCounters>("/findings/counters", { ...filter }),
  finding: (id: string) =>
    queryOptions({
      queryKey: [`/findings/${id}`],
      queryFn: async ({ signal }): Promise<Finding> => {
        const { finding, ...rest } = await request<FindingAnswer>("GET", `/findings/${id}`, {
          signal,
        });
        return { ...finding, ...rest };
      },
    }),
  rules: () => get<Page<Rule>>("/rules"),
  policy: () => get<PolicyState>("/policy"),
  settings: () => get<Settings>("/settings"),
  users: () => get<Page<User>>("/users"),
  apiTokens: () => get<Page<ApiToken>>("/api-tokens"),
  enrolTokens: () => get<Page<EnrolToken>>("/enrol-tokens"),
  audit: () => pages<AuditEntry>("/audit"),
  search: (q: string) => get<Page<SearchHit>>("/search", { q }),
};

/** Changes; each answers what the server made of it. */
export const act = {
  signIn: (name: string, password: string) =>
    request<Me>("POST", "/session", { body: { name, password } }),
  signOut: () => request<void>("DELETE", "/session"),
  changePassword: (current: string, next: string) =>
    request<void>("PUT", "/session/password", { body: { current, new: next } }),
  changeHost: (id: string, change: { group?: string; importance?: string; remark?: string }) =>
    request<Host>("PATCH", `/hosts/${id}`, { body: change }),
  forgetHost: (id: string) => request<void>("DELETE", `/hosts/${id}`),
  scanHost: (id: string) => request<Scan>("POST", `/hosts/${id}/scans`, { body: {} }),
  createGroup: (name: string) => request<NamedRef>("POST", "/groups", { body: { name } }),
  planHandling: (ids: string[], action: HandleAction) =>
    request<{ summary: Text; effects: Text[] }>("POST", "/findings/plan", {
      body: { ids, action },
    }),
  handle: (ids: string[], action: HandleAction, remark?: string) =>
    request<{ items: Outcome[] }>("POST", "/findings/handle", {
      body: remark ? { ids, action, remark } : { ids, action },
    }),
  unhandle: (ids: string[]) =>
    request<{ items: Outcome[] }>("POST", "/findings/unhandle", {
      body: { ids },
    }),
  setPolicy: (version: number, policy: Policy) =>
    request<PolicyState>("PUT", "/policy", { body: { version, policy } }),
  setSettings: (settings: Settings) => request<Settings>("PUT", "/settings", { body: settings }),
  createUser: (user: { name: string; role: Role }) =>
    request<{ user: User; password: string }>("POST", "/users", { body: user }),
  resetPassword: (id: string) =>
    request<{ user: User; password: string }>("POST", `/users/${id}/reset-password`),
  changeUser: (id: string, change: { role?: Role; disabled?: boolean }) =>
    request<User>("PATCH", `/users/${id}`, { body: change }),
  deleteUser: (id: string) => request<void>("DELETE", `/users/${id}`),
  createApiToken: (token: { name: string; role: Role; ttl_s: number }) =>
    request<{ item: ApiToken; token: string }>("POST", "/api-tokens", { body: token }),
  deleteApiToken: (id: string) => request<void>("DELETE", `/api-tokens/${id}`),
  createEnrolToken: (token: { group: string; ttl_s: number; uses: number }) =>
    request<{ id: string; token: string; one_liner: string; expires_at: string }>(
      "POST",
      "/enrol-tokens",
      { body: token },
    ),
  deleteEnrolToken: (id: string) => request<void>("DELETE", `/enrol-tokens/${id}`),
  verifyAudit: () =>
    request<{ entries: number; intact: boolean; first_bad?: string | null }>(
      "POST",
      "/audit/verify",
    ),
};
