// Every operation of the API that the console uses, once.
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import type { paths } from "./api.gen";
import type {
  AlarmPattern,
  BlockAsk,
  ChannelAsk,
  EntryChange,
  Finding,
  HandleAction,
  HandleOptions,
  HostDetail,
  JobAction,
  JobFilter,
  NewAlarmEntry,
  NewLoginEntry,
  NotifySettings,
  Page,
  Permission,
  Policy,
  Role,
  RouteAsk,
  RuleSwitch,
  Settings,
} from "./contract";
import { answered, client } from "./http";

const PAGE_ROWS = 100;

type QueryOf<P extends keyof paths> = paths[P] extends {
  get: { parameters: { query?: infer Q } };
}
  ? Omit<NonNullable<Q>, "cursor" | "limit">
  : never;

export type HostFilter = QueryOf<"/hosts">;
export type FindingFilter = QueryOf<"/findings">;
export type CounterFilter = QueryOf<"/findings/counters">;
export type AssetFilter = QueryOf<"/assets/{kind}">;
export type SummaryFilter = QueryOf<"/assets/{kind}/summary">;
export type DeliveryFilter = QueryOf<"/notifications/deliveries">;
export type ChangeFilter = QueryOf<"/changes">;
export type IsolatedFilter = QueryOf<"/isolated-files">;
export type BlockedFilter = QueryOf<"/blocked-addresses">;
export type HistoryFilter = QueryOf<"/handling">;
export type ResponseFilter = QueryOf<"/responses">;

function single<T>(key: unknown[], ask: (signal: AbortSignal) => Promise<T>) {
  return queryOptions({ queryKey: key, queryFn: ({ signal }) => ask(signal) });
}

interface Turn {
  signal: AbortSignal;
  /** Where the page starts and how long it is. */
  place: { limit: number; cursor?: string };
}

function pages<T>(path: string, filter: object, ask: (turn: Turn) => Promise<Page<T>>) {
  return infiniteQueryOptions({
    queryKey: [path, "pages", filter],
    queryFn: ({ signal, pageParam }) =>
      ask({
        signal,
        place: { limit: PAGE_ROWS, ...(pageParam !== undefined && { cursor: pageParam }) },
      }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next ?? undefined,
  });
}

const byId = (id: string) => ({ path: { id } });

/** Reads; the query keys start with the path, so that live events can refresh by path. */
export const read = {
  session: () => single(["/session"], (signal) => answered(client.GET("/session", { signal }))),
  dashboard: (days: 7 | 30) =>
    single(["/dashboard", days], (signal) =>
      answered(client.GET("/dashboard", { params: { query: { days } }, signal })),
    ),
  search: (q: string) =>
    single(["/search", q], (signal) =>
      answered(client.GET("/search", { params: { query: { q } }, signal })),
    ),

  hosts: (filter: HostFilter) =>
    pages("/hosts", filter, ({ signal, place }) =>
      answered(client.GET("/hosts", { params: { query: { ...filter, ...place } }, signal })),
    ),
  host: (id: string) =>
    single([`/hosts/${id}`], async (signal): Promise<HostDetail> => {
      const asked = client.GET("/hosts/{id}", { params: byId(id), signal });
      const { host, ...rest } = await answered(asked);
      return { ...host, ...rest };
    }),
  hostScans: (id: string) =>
    single([`/hosts/${id}/scans`], (signal) =>
      answered(client.GET("/hosts/{id}/scans", { params: byId(id), signal })),
    ),
  hostLogins: (id: string) =>
    pages(`/hosts/${id}/logins`, {}, ({ signal, place }) => {
      const params = { ...byId(id), query: place };
      return answered(client.GET("/hosts/{id}/logins", { params, signal }));
    }),
  scan: (id: string) =>
    single([`/scans/${id}`], (signal) =>
      answered(client.GET("/scans/{id}", { params: byId(id), signal })),
    ),
  groups: () => single(["/groups"], (signal) => answered(client.GET("/groups", { signal }))),

  assetKinds: () =>
    single(["/asset-kinds"], (signal) => answered(client.GET("/asset-kinds", { signal }))),
  assets: (kind: string, filter: AssetFilter) =>
    pages(`/assets/${kind}`, filter, ({ signal, place }) => {
      const params = { path: { kind }, query: { ...filter, ...place } };
      return answered(client.GET("/assets/{kind}", { params, signal }));
    }),
  assetSummary: (kind: string, filter: SummaryFilter) =>
    pages(`/assets/${kind}/summary`, filter, ({ signal, place }) => {
      const params = { path: { kind }, query: { ...filter, ...place } };
      return answered(client.GET("/assets/{kind}/summary", { params, signal }));
    }),
  changes: (filter: ChangeFilter) =>
    pages("/changes", filter, ({ signal, place }) =>
      answered(client.GET("/changes", { params: { query: { ...filter, ...place } }, signal })),
    ),

  findings: (filter: FindingFilter) =>
    pages("/findings", filter, ({ signal, place }) =>
      answered(client.GET("/findings", { params: { query: { ...filter, ...place } }, signal })),
    ),
  latestFindings: (filter: FindingFilter, limit: number) =>
    single(["/findings", filter, limit], (signal) =>
      answered(client.GET("/findings", { params: { query: { ...filter, limit } }, signal })),
    ),
  counters: (filter: CounterFilter) =>
    single(["/findings/counters", filter], (signal) =>
      answered(client.GET("/findings/counters", { params: { query: filter }, signal })),
    ),
  finding: (id: string) =>
    single([`/findings/${id}`], async (signal): Promise<Finding> => {
      const asked = client.GET("/findings/{id}", { params: byId(id), signal });
      const { finding, ...rest } = await answered(asked);
      return { ...finding, ...rest };
    }),
  plan: (ids: string[], action: HandleAction, options: Partial<HandleOptions>) =>
    single(["/findings/plan", ids, action, options], (signal) =>
      answered(
        client.POST("/findings/plan", {
          body: { ids, action, options: options as HandleOptions },
          signal,
        }),
      ),
    ),
  decisions: (filter: HistoryFilter) =>
    pages("/handling", filter, ({ signal, place }) =>
      answered(client.GET("/handling", { params: { query: { ...filter, ...place } }, signal })),
    ),
  jobPlan: (filter: Partial<JobFilter>, action: JobAction) =>
    single(["/handling/jobs/plan", filter, action], (signal) =>
      answered(
        client.POST("/handling/jobs/plan", {
          body: { filter: filter as JobFilter, action },
          signal,
        }),
      ),
    ),
  jobs: () =>
    single(["/handling/jobs"], (signal) => answered(client.GET("/handling/jobs", { signal }))),
  job: (id: string) =>
    single([`/handling/jobs/${id}`], (signal) =>
      answered(client.GET("/handling/jobs/{id}", { params: byId(id), signal })),
    ),
  detections: () =>
    single(["/detections"], (signal) => answered(client.GET("/detections", { signal }))),
  responses: (filter: ResponseFilter) =>
    pages("/responses", filter, ({ signal, place }) =>
      answered(client.GET("/responses", { params: { query: { ...filter, ...place } }, signal })),
    ),
  isolated: (filter: IsolatedFilter) =>
    pages("/isolated-files", filter, ({ signal, place }) =>
      answered(
        client.GET("/isolated-files", { params: { query: { ...filter, ...place } }, signal }),
      ),
    ),
  isolatedFile: (id: string) =>
    single([`/isolated-files/${id}`], (signal) =>
      answered(client.GET("/isolated-files/{id}", { params: byId(id), signal })),
    ),
  blocked: (filter: BlockedFilter) =>
    pages("/blocked-addresses", filter, ({ signal, place }) =>
      answered(
        client.GET("/blocked-addresses", { params: { query: { ...filter, ...place } }, signal }),
      ),
    ),
  whitelist: () =>
    single(["/whitelist"], (signal) => answered(client.GET("/whitelist", { signal }))),
  dryRun: (pattern: AlarmPattern) =>
    single(["/whitelist/alarms/dry-run", pattern], (signal) =>
      answered(client.POST("/whitelist/alarms/dry-run", { body: pattern, signal })),
    ),
  rules: () => single(["/rules"], (signal) => answered(client.GET("/rules", { signal }))),

  policy: () => single(["/policy"], (signal) => answered(client.GET("/policy", { signal }))),
  settings: () => single(["/settings"], (signal) => answered(client.GET("/settings", { signal }))),
  users: () => single(["/users"], (signal) => answered(client.GET("/users", { signal }))),
  apiTokens: () =>
    single(["/api-tokens"], (signal) => answered(client.GET("/api-tokens", { signal }))),
  enrolTokens: () =>
    single(["/enrol-tokens"], (signal) => answered(client.GET("/enrol-tokens", { signal }))),
  channels: () =>
    single(["/notifications/channels"], (signal) =>
      answered(client.GET("/notifications/channels", { signal })),
    ),
  routes: () =>
    single(["/notifications/routes"], (signal) =>
      answered(client.GET("/notifications/routes", { signal })),
    ),
  deliveries: (filter: DeliveryFilter) =>
    pages("/notifications/deliveries", filter, ({ signal, place }) => {
      const params = { query: { ...filter, ...place } };
      return answered(client.GET("/notifications/deliveries", { params, signal }));
    }),
  notifySettings: () =>
    single(["/notifications/settings"], (signal) =>
      answered(client.GET("/notifications/settings", { signal })),
    ),
  audit: () =>
    pages("/audit", {}, ({ signal, place }) =>
      answered(client.GET("/audit", { params: { query: place }, signal })),
    ),
};

interface HostChange {
  group?: string;
  importance?: HostDetail["importance"];
  remark?: string;
}

/** Changes; each answers what the server made of it. */
export const act = {
  signIn: (name: string, password: string) =>
    answered(client.POST("/session", { body: { name, password } })),
  signOut: () => answered(client.DELETE("/session")),
  changePassword: (current: string, next: string) =>
    answered(client.PUT("/session/password", { body: { current, new: next } })),
  changeHost: (id: string, body: HostChange) =>
    answered(client.PATCH("/hosts/{id}", { params: byId(id), body })),
  forgetHost: (id: string) => answered(client.DELETE("/hosts/{id}", { params: byId(id) })),
  scanHost: (id: string) =>
    answered(client.POST("/hosts/{id}/scans", { params: byId(id), body: { items: [] } })),
  handle: (ids: string[], action: HandleAction, remark: string, options: Partial<HandleOptions>) =>
    answered(
      client.POST("/findings/handle", {
        body: { ids, action, remark, options: options as HandleOptions },
      }),
    ),
  beginJob: (filter: Partial<JobFilter>, action: JobAction, remark: string) =>
    answered(
      client.POST("/handling/jobs", { body: { filter: filter as JobFilter, action, remark } }),
    ),
  stopJob: (id: string) => answered(client.DELETE("/handling/jobs/{id}", { params: byId(id) })),
  undoJob: (id: string) => answered(client.POST("/handling/jobs/{id}/undo", { params: byId(id) })),
  restoreFiles: (ids: string[]) =>
    answered(client.POST("/isolated-files/restore", { body: { ids } })),
  discardFiles: (ids: string[]) =>
    answered(client.POST("/isolated-files/discard", { body: { ids } })),
  unblock: (ids: string[]) =>
    answered(client.POST("/blocked-addresses/unblock", { body: { ids } })),
  block: (body: BlockAsk) => answered(client.POST("/blocked-addresses", { body })),
  cancelResponse: (id: string) => answered(client.DELETE("/responses/{id}", { params: byId(id) })),
  addAlarmEntry: (body: NewAlarmEntry) => answered(client.POST("/whitelist/alarms", { body })),
  addLoginEntry: (body: NewLoginEntry) => answered(client.POST("/whitelist/logins", { body })),
  changeEntry: (id: string, body: Partial<EntryChange>) =>
    answered(client.PATCH("/whitelist/{id}", { params: byId(id), body: body as EntryChange })),
  removeEntry: (id: string) => answered(client.DELETE("/whitelist/{id}", { params: byId(id) })),
  restoreEntry: (id: string) =>
    answered(client.POST("/whitelist/{id}/restore", { params: byId(id) })),
  switchDetection: (id: string, state: RuleSwitch, group?: string) =>
    answered(
      client.PUT("/detections/{id}", { params: byId(id), body: { state, group: group ?? null } }),
    ),
  unhandle: (ids: string[]) => answered(client.POST("/findings/unhandle", { body: { ids } })),
  setPolicy: (version: number, policy: Policy) =>
    answered(client.PUT("/policy", { body: { version, policy } })),
  setSettings: (body: Settings) => answered(client.PUT("/settings", { body })),
  createUser: (name: string, role: Role) =>
    answered(client.POST("/users", { body: { name, role } })),
  changeUser: (id: string, body: { role?: Role; disabled?: boolean }) =>
    answered(client.PATCH("/users/{id}", { params: byId(id), body })),
  resetPassword: (id: string) =>
    answered(client.POST("/users/{id}/reset-password", { params: byId(id) })),
  deleteUser: (id: string) => answered(client.DELETE("/users/{id}", { params: byId(id) })),
  createApiToken: (body: { name: string; permissions: Permission[]; ttl_s: number }) =>
    answered(client.POST("/api-tokens", { body })),
  deleteApiToken: (id: string) => answered(client.DELETE("/api-tokens/{id}", { params: byId(id) })),
  createEnrolToken: (body: { group: string; ttl_s: number; uses: number }) =>
    answered(client.POST("/enrol-tokens", { body })),
  deleteEnrolToken: (id: string) =>
    answered(client.DELETE("/enrol-tokens/{id}", { params: byId(id) })),
  createChannel: (body: ChannelAsk) => answered(client.POST("/notifications/channels", { body })),
  setChannel: (id: string, body: ChannelAsk) =>
    answered(client.PUT("/notifications/channels/{id}", { params: byId(id), body })),
  deleteChannel: (id: string) =>
    answered(client.DELETE("/notifications/channels/{id}", { params: byId(id) })),
  testChannel: (id: string, language: "en" | "zh") =>
    answered(
      client.POST("/notifications/channels/{id}/test", { params: byId(id), body: { language } }),
    ),
  createRoute: (body: RouteAsk) => answered(client.POST("/notifications/routes", { body })),
  setRoute: (id: string, body: RouteAsk) =>
    answered(client.PUT("/notifications/routes/{id}", { params: byId(id), body })),
  deleteRoute: (id: string) =>
    answered(client.DELETE("/notifications/routes/{id}", { params: byId(id) })),
  retryDelivery: (id: string) =>
    answered(client.POST("/notifications/deliveries/{id}/retry", { params: byId(id) })),
  setNotifySettings: (body: NotifySettings) =>
    answered(client.PUT("/notifications/settings", { body })),
  verifyAudit: () => answered(client.POST("/audit/verify")),
};
