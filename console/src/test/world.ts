// A made-up fleet behind the API's own shapes: 10,000 servers, long names, Chinese, refusals.
// Tests install it in place of the network; nothing of it is in the program.
import type {
  AssetKind,
  AssetRow,
  Change,
  Dashboard,
  HostAnswer,
  Me,
  Permission,
  PolicyState,
  Scan,
} from "../contract";
import { agentResponse, JOB_PLAN, job } from "./world-agents";
import { ago, at, both, id } from "./world-base";
import { finding, findingAnswer, planOf, RULES, TOO_WIDE } from "./world-findings";
import { counts, GROUPS, host } from "./world-fleet";
import { CHANNELS, DELIVERIES, ROUTES } from "./world-notify";
import { blocked, DETECTIONS, decision, isolated, WHITELIST } from "./world-response";

const column = (
  name: string,
  form: AssetKind["spec"]["columns"][number]["form"],
  en: string,
  zh: string,
  shown = true,
) => ({
  name,
  form,
  title: both(en, zh),
  about: `${en}, as the kernel tells`,
  volatile: false,
  shown,
});

const KINDS: AssetKind[] = [
  {
    spec: {
      kind: "port",
      title: both("Open ports", "开放端口"),
      about: both("Sockets that wait for others", "等待连接的套接字"),
      key: ["protocol", "address", "port"],
      columns: [
        column("level", "level", "Danger", "危险等级"),
        column("port", "port", "Port", "端口"),
        column("protocol", "text", "Protocol", "协议"),
        column("address", "address", "Address", "地址"),
        column("executable", "path", "Program", "程序"),
        column("user", "user", "User", "用户"),
        column("package", "text", "Package", "软件包"),
        column("pid", "integer", "PID", "PID", false),
      ],
    },
    summary_column: "port",
    rows: 61_204,
    hosts: 10_000,
  },
  {
    spec: {
      kind: "account",
      title: both("Accounts", "账号"),
      about: both(
        "Accounts of the system, from passwd, shadow and group",
        "系统账号，来自 passwd、shadow 和 group",
      ),
      key: ["name"],
      columns: [
        column("name", "user", "Name", "名称"),
        column("uid", "integer", "UID", "UID"),
        column("groups", "list", "Groups", "用户组"),
        column("home", "path", "Home", "主目录"),
        column("login", "boolean", "May log in", "可登录"),
        column("last_login", "time", "Last log-in", "最近登录"),
      ],
    },
    summary_column: "name",
    rows: 412_000,
    hosts: 10_000,
  },
  {
    spec: {
      kind: "process",
      title: both("Processes", "进程"),
      about: both("Every running process", "所有运行中的进程"),
      key: ["pid", "start_ticks"],
      columns: [
        column("pid", "integer", "PID", "PID"),
        column("name", "text", "Name", "名称"),
        column("user", "user", "User", "用户"),
        column("command", "text", "Command line", "命令行"),
        column("start_ticks", "integer", "Start", "启动", false),
      ],
    },
    summary_column: "name",
    rows: 1_840_220,
    hosts: 10_000,
  },
  ...(
    [
      ["software", "Software", "软件", 6_120_900],
      ["site", "Web sites", "网站", 2_031],
      ["autostart", "Auto-start items", "自启动项", 1_010_300],
      ["kernel_module", "Kernel modules", "内核模块", 880_000],
      ["container", "Containers", "容器", 0],
    ] as const
  ).map(([kind, en, zh, rows]) => ({
    spec: {
      kind,
      title: both(en, zh),
      about: both(`${en} as they are on each server`, `各服务器上的${zh}`),
      key: ["name"],
      columns: [column("name", "text", "Name", "名称"), column("path", "path", "Path", "路径")],
    },
    summary_column: "name",
    rows,
    hosts: rows === 0 ? 0 : 10_000,
  })),
];

function assetRow(kind: string, index: number): AssetRow {
  const where = host(index % 40);
  const row =
    kind === "port"
      ? {
          level: at(["dangerous", "attention", "safe", "unknown"], index),
          port: at([6379, 22, 443, 5432, 8080], index),
          protocol: "tcp",
          address: at(["0.0.0.0", "127.0.0.1", "::"], index),
          executable: "/opt/vendor/product/releases/2026-11-01T10-22-05/bin/redis-server",
          user: "redis",
          package: index % 3 === 0 ? null : "redis-server",
          pid: 4000 + index,
        }
      : kind === "account"
        ? {
            name: `user${index}`,
            uid: 1000 + index,
            groups: ["sudo", "docker"],
            home: `/home/user${index}`,
            login: true,
            last_login: ago(9000),
          }
        : { name: `${kind}-${index}`, path: `/usr/lib/${kind}/${index}` };
  return {
    host: { id: where.id, name: where.name },
    key: `tcp|0.0.0.0|${index}`,
    row,
    first_seen_at: ago(86_400 * 3),
    last_seen_at: ago(30),
  };
}

function change(index: number): Change {
  const op = at(["added", "removed", "changed"] as const, index);
  const where = host(index % 7);
  return {
    id: id("change", 9000 - index),
    at: ago(index * 700),
    host: { id: where.id, name: where.name },
    ...(index % 4 === 0 ? PROCESS_CHANGE : PORT_CHANGE),
    op,
    diff:
      op === "changed"
        ? [
            { column: "user", before: "root", after: "redis" },
            {
              column: "executable",
              before: "/usr/bin/redis-server",
              after: "/opt/vendor/product/bin/redis-server",
            },
          ]
        : [],
  };
}

const PORT_CHANGE = {
  kind: "port",
  key: "tcp|0.0.0.0|6379",
  row: {
    port: 6379,
    protocol: "tcp",
    address: "0.0.0.0",
    user: "redis",
    executable: "/opt/vendor/product/bin/redis-server",
    level: "dangerous",
  },
};
const PROCESS_CHANGE = {
  kind: "process",
  key: "41877|88120034",
  row: {
    pid: 41_877,
    name: "redis-server",
    user: "redis",
    command: "/opt/vendor/product/bin/redis-server *:6379 --appendonly yes --dir /srv/缓存",
    start_ticks: 88_120_034,
  },
};

const day = (back: number): string => ago(back * 86_400).slice(0, 10);

function dashboard(days: number): Dashboard {
  const trend = Array.from({ length: days }, (_, index) => ({
    day: day(days - 1 - index),
    asset_risk: 12 + ((index * 7) % 9),
    vulnerability: 0,
    unsafe_setting: 0,
    alarm: (index * 5) % 13,
  }));
  return {
    as_of: ago(2),
    risks: [
      {
        kind: "asset_risk",
        open: 1204,
        hosts: 311,
        by_severity: { low: 800, medium: 300, high: 100, critical: 4 },
      },
      {
        kind: "vulnerability",
        open: 0,
        hosts: 0,
        by_severity: { low: 0, medium: 0, high: 0, critical: 0 },
      },
      {
        kind: "unsafe_setting",
        open: 0,
        hosts: 0,
        by_severity: { low: 0, medium: 0, high: 0, critical: 0 },
      },
      {
        kind: "alarm",
        open: 37,
        hosts: 12,
        by_severity: { low: 0, medium: 11, high: 24, critical: 2 },
      },
    ],
    protection: {
      total: 10_000,
      protected: 7_800,
      degraded: 2_000,
      unprotected: 200,
      offline: 1_111,
      blind_spots: [
        { capability: "process_events", hosts: 2_000 },
        { capability: "file_events", hosts: 140 },
        { capability: "journal", hosts: 3 },
      ],
    },
    trend,
    handled: trend.map((it) => ({
      ...it,
      asset_risk: Math.floor(it.asset_risk / 2),
      alarm: Math.floor(it.alarm / 2),
    })),
    blocked: 410,
    isolated: 37,
    techniques: [
      { technique: "T1110.001", count: 121 },
      { technique: "T1078", count: 33 },
      { technique: "T1059.004", count: 9 },
      { technique: "T1543.002", count: 2 },
    ],
    intrusions: [
      { category: "brute_force", count: 121 },
      { category: "abnormal_login", count: 33 },
      { category: "reverse_shell", count: 9 },
      { category: "critical_file_change", count: 2 },
    ],
    top_hosts: [0, 3, 5, 11, 22].map((index) => {
      const { id, name, risk } = host(index);
      return { host: { id, name }, risk, counts: { ...counts(index), alarm: 3, asset_risk: 4 } };
    }),
    latest: [],
    score: {
      value: 61,
      deductions: [
        { reason_code: "critical_findings", points: 20, count: 2, kind: "alarm" },
        { reason_code: "high_findings", points: 10, count: 24, kind: "alarm" },
        { reason_code: "unprotected_hosts", points: 6, count: 200, kind: null },
        { reason_code: "degraded_hosts", points: 3, count: 2000, kind: null },
      ],
    },
  };
}

const POLICY: PolicyState = {
  version: 3,
  changed_at: ago(5000),
  changed_by: "admin",
  policy: {
    login: {
      burst_failures: 5,
      burst_window_s: 30,
      slow_failures: 20,
      slow_window_s: 21_600,
      spread_sources: 10,
      spray_accounts: 8,
      spread_window_s: 900,
      places_learned: 3,
      whitelist: [{ address: "192.0.2.0/24", user: "backup", host: null }],
      common_places: ["DE", "CN"],
      common_addresses: ["10.0.0.0/8"],
    },
    ports: { ignored: [{ protocol: "tcp", port: 6379 }] },
    collect: { fast_s: 60, slow_s: 3600, logs: [] },
    detect: { disabled_rules: [], watched_paths: [], whitelist: [] },
    response: {
      block: true,
      block_s: 43_200,
      share_blocks: false,
      never_block: [],
      isolate: true,
      confidence_min: 70,
      per_hour_max: 60,
      dead_man_s: 60,
      refuse_programs: false,
      lock_agent: false,
      protect_agent: false,
    },
    groups: [],
  },
};

const PERMISSIONS: Permission[] = [
  "read",
  "handle",
  "scan",
  "manage_hosts",
  "manage_policy",
  "manage_users",
  "manage_tokens",
  "manage_notifications",
  "manage_settings",
  "read_audit",
];

const ME: Me = {
  user: { id: id("user", 1), name: "admin", role: "admin" },
  permissions: PERMISSIONS,
  must_change_password: false,
  expires_at: ago(-3600),
};

function scan(index: number): Scan {
  return {
    id: id("scan", index),
    host: { id: id("host", 1), name: "web-00000" },
    requested_by: "user:admin",
    wanted: [],
    created_at: ago(index * 4000),
    started_at: ago(index * 4000 - 1),
    finished_at: index === 0 ? null : ago(index * 4000 - 9),
    refused: index === 2 ? "the agent has too many orders waiting" : null,
    why: index === 2 ? { id: "task.busy", params: {} } : null,
    items: KINDS.map(({ spec }, item) => ({
      item: spec.kind,
      state:
        index > 0 && item === 1
          ? "partial"
          : index > 0 || item < 3
            ? "done"
            : item === 3
              ? "running"
              : "queued",
      rows: 100 * item,
      findings: 0,
      ...(index > 0 && item === 1
        ? {
            reason: "/etc/passwd:7: not seven fields",
            why: { id: "account.seven", params: { place: "/etc/passwd:7" } },
          }
        : { reason: "", why: null }),
    })),
  };
}

export interface Answer {
  status: number;
  body: unknown;
}

export { finding, host };

/** How the made-up server is: full, without anything yet, or failing. */
export type Mood = "full" | "empty" | "failing" | "signed_out";

const ok = (body: unknown): Answer => ({ status: 200, body });
const page = (items: unknown[], total?: number, next?: string): Answer =>
  ok({
    items,
    next: next ?? null,
    total: { value: total ?? items.length, exact: true },
  });

const OPEN = [
  { kind: "alarm", category: "brute_force", severity: "high", count: 24 },
  { kind: "alarm", category: "abnormal_login", severity: "medium", count: 11 },
  { kind: "alarm", category: "reverse_shell", severity: "critical", count: 2 },
  { kind: "asset_risk", category: "dangerous_port", severity: "high", count: 104 },
  { kind: "asset_risk", category: "unpackaged_autostart", severity: "low", count: 1100 },
];

/** A page of a list of `total` made by `make`; the cursor is the number to start at. */
function paged(total: number, make: (index: number) => unknown, query: URLSearchParams): Answer {
  const from = Number(query.get("cursor") ?? 0);
  const limit = Number(query.get("limit") ?? 50);
  const to = Math.min(from + limit, total);
  return page(
    Array.from({ length: to - from }, (_, index) => make(from + index)),
    total,
    to < total ? String(to) : undefined,
  );
}

/** What the made-up server says; `path` begins after `/api/v1`. */
export function answer(
  mood: Mood,
  method: string,
  path: string,
  query: URLSearchParams,
  body?: unknown,
): Answer {
  if (mood === "signed_out" && !(method === "POST" && path === "/session"))
    return { status: 401, body: { title: "Unauthorized", status: 401 } };
  if (path === "/session") return ok(ME);
  if (mood === "failing")
    return {
      status: 503,
      body: { title: "Busy", status: 503, detail: "the store does not answer" },
    };
  if (method === "POST" && path === "/findings/plan") return ok(planOf(body));
  if (method !== "GET") return decide(path);
  return mood === "empty" ? emptyGet(path, query) : fullGet(path, query);
}

function decide(path: string): Answer {
  switch (path) {
    case "/whitelist/alarms/dry-run":
      return ok({
        looked_at: 1_241,
        complete: true,
        silenced: 812,
        hosts: 31,
        findings: [finding(0), finding(6), finding(12)],
        warnings: [TOO_WIDE],
      });
    case "/handling/jobs/plan":
      return ok(JOB_PLAN);
    case "/handling/jobs":
      return ok(job(0));
    case "/isolated-files/restore":
    case "/isolated-files/discard":
    case "/blocked-addresses/unblock":
      return ok({
        items: [{ id: isolated(0).id, response: agentResponse(0), refused: null, why: null }],
      });
    case "/findings/handle":
      return ok({
        responses: [],
        items: [{ id: finding(0).id, status: "handled", undo: true, refused: null, why: null }],
      });
    case "/findings/unhandle":
      return ok({
        responses: [],
        items: [{ id: finding(0).id, status: "unhandled", undo: false, refused: null, why: null }],
      });
    case "/enrol-tokens":
      return ok({
        id: id("token", 9),
        token: "gar_AXbKd0S1Jx0c3T5sV1yq9mZ2aK8eWb4uRf6hLp7dNoGtXiQyCkE",
        one_liner:
          "curl -fsS --pinnedpubkey sha256//r5k2 https://garrison.example.org:8443/install.sh | sh -s -- gar_AXbKd0S1Jx0c3T5sV1yq9mZ2aK8eWb4uRf6hLp7dNoGtXiQyCkE",
        expires_at: ago(-3600),
      });
    case "/policy":
      return ok({ ...POLICY, version: POLICY.version + 1 });
    case "/notifications/settings":
      return ok({ reach: "any", console_url: "" });
    case "/audit/verify":
      return ok({ entries: 1204, intact: true, first_bad: null });
    default:
      if (path.endsWith("/test"))
        return ok({ sent: false, error: "hooks.slack.com answered 404: no_team" });
      return path.endsWith("/scans") ? ok(scan(0)) : ok({});
  }
}

/** What there is of notifications. */
function notifyGet(path: string): Answer | undefined {
  switch (path) {
    case "/notifications/channels":
      return page(CHANNELS);
    case "/notifications/routes":
      return page(ROUTES);
    case "/notifications/deliveries":
      return page(DELIVERIES);
    case "/notifications/settings":
      return ok({ reach: "private", console_url: "https://garrison.example.org" });
    default:
      return undefined;
  }
}

function emptyGet(path: string, query: URLSearchParams): Answer {
  if (path === "/dashboard") {
    const full = dashboard(7);
    const none = { asset_risk: 0, vulnerability: 0, unsafe_setting: 0, alarm: 0 };
    return ok({
      ...full,
      risks: full.risks.map((it) => ({
        ...it,
        open: 0,
        hosts: 0,
        by_severity: { low: 0, medium: 0, high: 0, critical: 0 },
      })),
      protection: {
        total: 0,
        protected: 0,
        degraded: 0,
        unprotected: 0,
        offline: 0,
        blind_spots: [],
      },
      trend: full.trend.map((it) => ({ ...it, ...none })),
      handled: full.handled.map((it) => ({ ...it, ...none })),
      intrusions: [],
      techniques: [],
      blocked: 0,
      isolated: 0,
      top_hosts: [],
      score: { value: 100, deductions: [] },
    });
  }
  if (path === "/findings/counters")
    return ok({ total: 0, open: [], by_category: [], by_severity: [] });
  if (path === "/notifications/settings") return notifyGet(path) ?? ok({});
  if (["/policy", "/settings", "/meta", "/rules", "/groups"].includes(path))
    return fullGet(path, query);
  return page([]);
}

function fullGet(path: string, query: URLSearchParams): Answer {
  const notify = notifyGet(path);
  if (notify) return notify;
  const [, first, second, third] = path.split("/");
  if (first === "hosts" && second) return hostGet(second, third, query);
  if (first === "assets" && third === "summary")
    return paged(
      40,
      (it) => ({
        kind: second,
        column: "port",
        value: String(22 + it * 17),
        hosts: 10_000 >> it,
        rows: 12_000 >> it,
      }),
      query,
    );
  if (first === "assets") return paged(5000, (it) => assetRow(second ?? "", it), query);
  if (first === "findings" && second && second !== "counters")
    return ok(findingAnswer(1_000_000 - Number.parseInt(second.split("_")[1] ?? "0", 32)));
  if (first === "isolated-files" && second)
    return ok({
      file: isolated(500 - Number.parseInt(second.split("_")[1] ?? "0", 32)),
      history: [
        { at: ago(5000), by: "alice", state: "isolated" },
        { at: ago(3000), by: "admin", state: "restored" },
        { at: ago(90), by: "", state: "isolated" },
      ],
    });
  if (first === "scans") return ok(scan(0));
  if (path.startsWith("/handling/jobs/")) return ok(job(0));
  switch (path) {
    case "/dashboard":
      return ok(dashboard(Number(query.get("days") ?? 7)));
    case "/hosts":
      return paged(10_000, host, query);
    case "/groups":
      return page(GROUPS);
    case "/asset-kinds":
      return page(KINDS);
    case "/changes":
      return paged(300, change, query);
    case "/findings":
      if (query.get("limit") === "5") return paged(5, finding, query);
      // Most of what ever happened was decided about long ago.
      return paged(query.get("status") === null ? 12_408 : 1241, finding, query);
    case "/findings/counters":
      return ok({
        total: 1241,
        open: OPEN.filter(({ kind }) => [null, kind].includes(query.get("kind"))),
      });
    case "/rules":
      return page(RULES);
    case "/detections":
      return page(DETECTIONS);
    case "/isolated-files":
      return paged(37, isolated, query);
    case "/blocked-addresses":
      return paged(410, blocked, query);
    case "/responses":
      return paged(24, agentResponse, query);
    case "/handling":
      return paged(310, decision, query);
    case "/handling/jobs":
      return page([job(0), job(1)]);
    case "/whitelist":
      return page(WHITELIST);
    case "/policy":
      return ok(POLICY);
    case "/settings":
      return ok({ alarm_retention_days: 30, change_retention_days: 90 });
    case "/users":
      return page([
        {
          ...ME.user,
          disabled: false,
          must_change_password: false,
          created_at: ago(900_000),
          last_login_at: ago(60),
        },
        {
          id: id("user", 2),
          name: "alice",
          role: "operator",
          disabled: false,
          must_change_password: true,
          created_at: ago(500_000),
          last_login_at: null,
        },
        {
          id: id("user", 3),
          name: "审计员-王",
          role: "auditor",
          disabled: true,
          must_change_password: false,
          created_at: ago(800_000),
          last_login_at: ago(90_000),
        },
      ]);
    case "/api-tokens":
      return page([
        {
          id: id("apitoken", 1),
          name: "ticket system",
          user: "admin",
          permissions: ["read", "handle"],
          created_at: ago(9000),
          expires_at: ago(-86_400 * 20),
          last_used_at: ago(300),
        },
      ]);
    case "/enrol-tokens":
      return page([
        {
          id: id("token", 1),
          group: GROUPS[1],
          uses_max: 50,
          uses_left: 12,
          created_at: ago(4000),
          created_by: "user:admin",
          expires_at: ago(-80_000),
        },
      ]);
    case "/audit":
      return paged(
        900,
        (it) => ({
          id: id("audit", 900 - it),
          at: ago(it * 500),
          actor: "user:admin",
          action: "finding.handle",
          target: finding(it).id,
          detail: { action: "mark_handled", remark: "blocked at the firewall", count: 1 },
          address: "192.0.2.14",
          hash: "00",
        }),
        query,
      );
    case "/search":
      return page([
        {
          type: "host",
          host: { id: host(0).id, name: host(0).name },
          addresses: host(0).addresses,
        },
        { type: "finding", finding: finding(0) },
        {
          type: "asset",
          asset: { kind: "port", column: "port", value: "6379", hosts: 14, rows: 15 },
        },
      ]);
    default:
      return { status: 404, body: { title: "Not found", status: 404 } };
  }
}

function hostGet(hostId: string, third: string | undefined, query: URLSearchParams): Answer {
  if (third === "scans") return page([scan(1), scan(2)]);
  if (third === "logins")
    return paged(
      60,
      (it) => ({
        at: ago(it * 3000),
        service: "sshd",
        user: "deploy",
        address: `192.0.2.${it}`,
        country: "DE",
        method: "publickey",
        key_fingerprint: "SHA256:abc",
      }),
      query,
    );
  const found = host(Number.parseInt(hostId.split("_")[1] ?? "1", 32) - 1);
  const whole: HostAnswer = {
    host: found,
    open: [],
    asset_counts: KINDS.map(({ spec }, index) => ({ kind: spec.kind, rows: 12 + index * 40 })),
    trend: [],
    costs: [
      { id: "process_events", cpu_us: 4_210_000, events: 1_204_411, lost: 0 },
      { id: "journal", cpu_us: 812_000, events: 41_220, lost: 0 },
      { id: "file_events", cpu_us: 2_950_000, events: 310_004, lost: 12 },
    ],
    certificate_expires_at: ago(-86_400 * 24),
  };
  return ok(whole);
}
