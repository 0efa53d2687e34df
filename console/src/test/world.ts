// A made-up fleet behind the API's own shapes: 10,000 servers, long names, Chinese, refusals.
// Tests install it in place of the network; nothing of it is in the program.
import type {
  AssetKind,
  AssetRow,
  Change,
  Counts,
  Dashboard,
  FindingAnswer,
  FindingItem,
  Host,
  HostAnswer,
  Me,
  Permission,
  PolicyState,
  Rule,
  Scan,
  Severity,
  Text,
} from "../contract";

const NOW = Date.now();
const ago = (seconds: number): string => new Date(NOW - seconds * 1000).toISOString();
const id = (prefix: string, number: number): string =>
  `${prefix}_${number.toString(32).padStart(13, "0")}`;
const both = (en: string, zh: string): Text => ({ en, zh });

const GROUPS = ["default", "web front ends", "数据库集群", "kubernetes-workers-eu-central-1"].map(
  (name, index) => ({ id: id("group", index + 1), name, hosts: 2500, is_default: index === 0 }),
);

const SYSTEMS = [
  { id: "debian", name: "Debian GNU/Linux", version: "12" },
  { id: "rocky", name: "Rocky Linux", version: "9.4" },
  { id: "openEuler", name: "openEuler", version: "22.03 LTS" },
];

const at = <T>(list: readonly T[], index: number): T => {
  const found = list[index % list.length];
  if (found === undefined) throw new Error("empty list");
  return found;
};

function counts(index: number): Counts {
  return {
    asset_risk: index % 7,
    vulnerability: 0,
    unsafe_setting: 0,
    alarm: index % 11 === 0 ? 3 : 0,
  };
}

export function host(index: number): Host {
  const name =
    index === 3
      ? "a-really-long-host-name-that-somebody-generated-from-a-template-0003.prod.eu-central-1.internal.example.org"
      : index === 5
        ? "订单数据库-主库-上海"
        : `web-${String(index).padStart(5, "0")}`;
  const offline = index % 9 === 4;
  const degraded = index % 5 === 1;
  return {
    id: id("host", index + 1),
    name,
    addresses: [`10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`, "fe80::1"],
    os: at(SYSTEMS, index),
    kernel: "6.1.0-28-amd64",
    arch: "x86_64",
    cpus: 4,
    memory_bytes: 16 * 1024 ** 3,
    agent_version: "0.1.0",
    group: at(GROUPS, index),
    importance: index === 0 ? "important" : "general",
    remark: "",
    connection: offline ? "offline" : "online",
    protection: degraded ? "degraded" : "protected",
    protection_reasons: [
      ...(offline
        ? [
            both(
              "the agent is offline; what it saw last is shown",
              "代理离线，显示的是最后一次上报的状态",
            ),
          ]
        : []),
      ...(degraded
        ? [
            both(
              "process_events: missing, no BTF in this kernel",
              "process_events：缺失，内核没有 BTF",
            ),
          ]
        : []),
    ],
    capabilities: [
      {
        id: "process_events",
        state: degraded ? "missing" : "active",
        reason: degraded ? "no BTF in this kernel" : "",
      },
      { id: "socket_diag", state: "active", reason: "" },
      { id: "journal", state: "active", reason: "" },
      { id: "file_events", state: "degraded", reason: "fanotify without FAN_REPORT_FID" },
    ],
    counts: counts(index),
    risk: Math.max(0, 60 - index * 0.7),
    enrolled_at: ago(86_400 * 20),
    last_seen_at: offline ? ago(7200) : ago(12),
    booted_at: ago(86_400 * 9),
    revoked_at: null,
    usage: { resident_bytes: 41 * 1024 ** 2, cpu_ratio: 0.0021, spool_bytes: 0 },
    telemetry_dropped: 0,
  };
}

const SENTENCES: [string, string, Severity, Text][] = [
  [
    "brute_force",
    "GAR-LOG-001",
    "high",
    both(
      "203.0.113.7 failed to log in 41 times within 30 seconds by sshd",
      "203.0.113.7 在 30 秒内通过 sshd 登录失败 41 次",
    ),
  ],
  [
    "login_after_failures",
    "GAR-LOG-005",
    "critical",
    both(
      "203.0.113.7 logged in as root by sshd after 41 failures",
      "203.0.113.7 在失败 41 次后以 root 通过 sshd 登录成功",
    ),
  ],
  [
    "abnormal_login",
    "GAR-LOG-006",
    "medium",
    both(
      "deploy logged in from Brazil, where this account was never seen before, at an unusual time of the day and with a key that this server has not met",
      "deploy 从巴西登录：该账号从未在此地登录过，时间异常，且使用了本服务器未见过的密钥",
    ),
  ],
  [
    "dangerous_port",
    "GAR-AST-001",
    "high",
    both(
      "redis-server listens on 0.0.0.0:6379 without authentication",
      "redis-server 在 0.0.0.0:6379 监听且没有认证",
    ),
  ],
  [
    "unpackaged_autostart",
    "GAR-AST-006",
    "low",
    both(
      "/etc/systemd/system/updater.service starts a program that belongs to no package",
      "/etc/systemd/system/updater.service 启动了不属于任何软件包的程序",
    ),
  ],
];

export function finding(index: number): FindingItem {
  const [category, rule, severity, sentence] = at(SENTENCES, index);
  const where = host(index % 40);
  const done = index % 6 === 5;
  return {
    id: id("finding", 1_000_000 - index),
    host: { id: where.id, name: where.name },
    kind: rule.startsWith("GAR-LOG") ? "alarm" : "asset_risk",
    rule,
    category,
    severity,
    subject: category === "dangerous_port" ? "tcp 0.0.0.0:6379" : "203.0.113.7",
    sentence,
    status: done ? "handled" : "unhandled",
    count: 41 + index,
    first_at: ago(index * 400 + 300),
    last_at: ago(index * 400 + 20),
    handling: done
      ? { action: "mark_handled", by: "alice", at: ago(100), remark: "blocked at the firewall" }
      : null,
    technique: rule.startsWith("GAR-LOG") ? "T1110.001" : null,
  };
}

function findingAnswer(index: number): FindingAnswer {
  const item = finding(index);
  return {
    finding: item,
    rule_title: both("Brute force from one source", "同一来源的暴力破解"),
    why: both(
      "One address tried many passwords in a short time. If it guesses one, it owns the account; most break-ins of servers on the Internet begin like this.",
      "同一地址在短时间内尝试了大量密码。一旦猜中，账号就会失守；互联网上多数服务器入侵都由此开始。",
    ),
    advice: both(
      "Look whether the address logged in afterwards. Block it at the firewall, allow keys only (PasswordAuthentication no), and keep sshd off the open Internet.",
      "检查该地址之后是否登录成功。在防火墙封禁该地址，仅允许密钥登录（PasswordAuthentication no），不要将 sshd 暴露在公网。",
    ),
    actions: ["mark_handled", "ignore", "login_whitelist"],
    params: { source: "203.0.113.7", failures: 41, window_s: 30 },
    evidence: [
      { type: "fact", name: "failures", value: 41 },
      { type: "fact", name: "window_s", value: 30 },
      {
        type: "login",
        service: "sshd",
        user: "root",
        address: "203.0.113.7",
        country: "BR",
        method: "password",
      },
      {
        type: "log_lines",
        source: "/var/log/auth.log",
        omitted: 36,
        lines: Array.from({ length: 5 }, (_, line) => ({
          at: ago(60 - line),
          text: `Nov 23 03:12:${40 + line} web-00000 sshd[231${line}]: Failed password for root from 203.0.113.7 port 5142${line} ssh2`,
        })),
      },
      {
        type: "processes",
        chain: [
          {
            pid: 4121,
            started_at: ago(400),
            user: "redis",
            executable: "/usr/local/bin/redis-server",
            command: "redis-server *:6379",
            sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
          },
          {
            pid: 1,
            started_at: ago(86_400 * 9),
            user: "root",
            executable: "/usr/lib/systemd/systemd",
            command: "/sbin/init",
            package: "systemd",
          },
        ],
      },
    ],
    history: [{ at: ago(90), by: "alice", action: "undo", remark: "" }],
    similar: [finding(index + 5), finding(index + 10)],
  };
}

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
  ...(
    [
      ["process", "Processes", "进程", 1_840_220],
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
    kind: "port",
    key: `tcp|0.0.0.0|${index}`,
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
    row: {},
  };
}

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
    intrusions: [
      { category: "brute_force", count: 121 },
      { category: "abnormal_login", count: 33 },
      { category: "password_spray", count: 9 },
      { category: "login_after_failures", count: 2 },
    ],
    top_hosts: [3, 0, 5, 11, 22].map((index) => {
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

const RULES: Rule[] = SENTENCES.map(([category, rule, severity, sentence]) => ({
  id: rule,
  title: sentence,
  category,
  kind: rule.startsWith("GAR-LOG") ? "alarm" : "asset_risk",
  severity,
  why: sentence,
  advice: sentence,
  techniques: [],
  false_alarms: [],
  blind_spots: [],
  actions: rule.startsWith("GAR-LOG")
    ? ["mark_handled", "ignore", "login_whitelist"]
    : ["mark_handled", "ignore"],
}));

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
    refused: null,
    items: KINDS.map(({ spec }, item) => ({
      item: spec.kind,
      state: index > 0 || item < 3 ? "done" : item === 3 ? "running" : "queued",
      rows: 100 * item,
      findings: 0,
      reason: "",
    })),
  };
}

export interface Answer {
  status: number;
  body: unknown;
}

/** How the made-up server is: full, without anything yet, or failing. */
export type Mood = "full" | "empty" | "failing" | "signed_out";

const ok = (body: unknown): Answer => ({ status: 200, body });
const page = (items: unknown[], total?: number, next?: string): Answer =>
  ok({
    items,
    next: next ?? null,
    total: { value: total ?? items.length, exact: true },
  });

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
export function answer(mood: Mood, method: string, path: string, query: URLSearchParams): Answer {
  if (mood === "signed_out" && !(method === "POST" && path === "/session"))
    return { status: 401, body: { title: "Unauthorized", status: 401 } };
  if (path === "/session") return ok(ME);
  if (mood === "failing")
    return {
      status: 503,
      body: { title: "Busy", status: 503, detail: "the store does not answer" },
    };
  if (method !== "GET") return decide(path);
  return mood === "empty" ? emptyGet(path, query) : fullGet(path, query);
}

function decide(path: string): Answer {
  switch (path) {
    case "/findings/plan":
      return ok({
        summary: both("closes 1 event", "关闭 1 个事件"),
        effects: [
          both(
            "the next of its kind is shown again; undo any time",
            "同类事件再次发生时仍会显示；可随时撤销",
          ),
        ],
      });
    case "/findings/handle":
      return ok({ items: [{ id: finding(0).id, status: "handled", undo: true }] });
    case "/findings/unhandle":
      return ok({ items: [{ id: finding(0).id, status: "unhandled", undo: false }] });
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
    case "/audit/verify":
      return ok({ entries: 1204, intact: true, first_bad: null });
    default:
      return path.endsWith("/scans") ? ok(scan(0)) : ok({});
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
      top_hosts: [],
      score: { value: 100, deductions: [] },
    });
  }
  if (path === "/findings/counters")
    return ok({ total: 0, open: [], by_category: [], by_severity: [] });
  if (["/policy", "/settings", "/meta", "/rules", "/groups"].includes(path))
    return fullGet(path, query);
  return page([]);
}

function fullGet(path: string, query: URLSearchParams): Answer {
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
  if (first === "scans") return ok(scan(0));
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
      return paged(query.get("limit") === "5" ? 5 : 1241, finding, query);
    case "/findings/counters":
      return ok({
        total: 1241,
        open: [
          { kind: "alarm", category: "brute_force", severity: "high", count: 24 },
          { kind: "alarm", category: "abnormal_login", severity: "medium", count: 11 },
          { kind: "alarm", category: "login_after_failures", severity: "critical", count: 2 },
          { kind: "asset_risk", category: "dangerous_port", severity: "high", count: 104 },
          { kind: "asset_risk", category: "unpackaged_autostart", severity: "low", count: 1100 },
        ],
      });
    case "/rules":
      return page(RULES);
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
          role: "operator",
          permissions: [],
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
    certificate_expires_at: ago(-86_400 * 24),
  };
  return ok(whole);
}
