// What was done about the made-up attacks, and the rules that found them.
import type { BlockedAddress, Decision, Detection, IsolatedFile, Whitelisted } from "../contract";
import { ago, at, both, id } from "./world-base";
import { finding, RULES } from "./world-findings";
import { GROUPS, hostRef as ref } from "./world-fleet";

const SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

export function isolated(index: number): IsolatedFile {
  return {
    id: id("isolated", 500 - index),
    host: ref(index),
    state: index % 5 === 3 ? "restored" : index % 7 === 6 ? "discarded" : "isolated",
    path: at(
      [
        "/dev/shm/.x/kworker",
        "/var/www/html/wp-content/uploads/2026/11/图片缓存/cache-0f2a.php",
        "/opt/vendor/product/releases/2026-11-01T10-22-05/plugins/very-long-name-of-a-plugin/bin/helper",
      ],
      index,
    ),
    sha256: SHA256,
    size_bytes: 18_432 * (index + 1),
    mode: 0o4755,
    uid: 33,
    gid: 33,
    user: "www-data",
    finding: finding(1).id,
    reason: "",
    automatic: index % 4 === 2,
    refused: true,
    isolated_at: ago(index * 5000 + 90),
    changed_at: ago(index * 5000 + 80),
    by: index % 4 === 2 ? "" : "alice",
    pending:
      index === 1 ? { response: id("response", 1), action: "restore", state: "waiting" } : null,
  };
}

export function blocked(index: number): BlockedAddress {
  return {
    id: id("blocked", 700 - index),
    host: ref(index),
    address: at(["203.0.113.7", "198.51.100.0/24", "2001:db8:85a3::8a2e:370:7334"], index),
    state: index % 6 === 5 ? "expired" : index % 6 === 4 ? "removed" : "active",
    since_at: ago(index * 700 + 40),
    until_at: ago(index * 700 - 43_200),
    finding: finding(0).id,
    reason: "",
    automatic: index % 2 === 0,
    packets: 18_220 >> (index % 12),
    changed_at: ago(index * 700),
    by: index % 2 === 0 ? "" : "admin",
    pending: null,
  };
}

export function decision(index: number): Decision {
  const found = finding(index * 3 + 5);
  return {
    id: id("decision", 800 - index),
    at: ago(index * 1300 + 30),
    by: at(["alice", "admin", "审计员-王"], index),
    action: at(
      [
        "mark_handled",
        "isolate_and_kill",
        "ignore",
        "block_ip",
        "undo",
        "alarm_whitelist",
      ] as const,
      index,
    ),
    remark: at(["blocked at the firewall", "", "our own scanner, every Tuesday"], index),
    finding: found,
    undo: index % 6 !== 4,
  };
}

export const WHITELIST: Whitelisted[] = [
  entry(0, {
    kind: "alarm",
    rule: "GAR-LOG-001",
    field: "source",
    judge: "cidr",
    value: "192.0.2.0/24",
    hits: 412,
    last_hit_at: ago(600),
    expires_at: ago(-86_400 * 20),
    remark: "our own scanner",
  }),
  entry(1, {
    kind: "alarm",
    rule: "",
    field: "subject",
    judge: "contains",
    value: "/opt/backup/bin/agent-with-a-name-that-goes-on",
    hits: 0,
  }),
  entry(2, {
    kind: "alarm",
    rule: "GAR-RSH-001",
    field: "Image",
    judge: "equals",
    value: "/usr/bin/socat",
    state: "removed",
    removed_at: ago(50),
    removed_by: "admin",
  }),
  entry(3, {
    kind: "login",
    address: "192.0.2.0/24",
    user: "backup",
    host: ref(0),
    hits: 1_204,
    last_hit_at: ago(90),
  }),
  entry(4, { kind: "login", user: "部署账号" }),
];

function entry(index: number, own: Partial<Whitelisted>): Whitelisted {
  return {
    id: `entry-${index}`,
    kind: "alarm",
    state: "active",
    rule: null,
    field: null,
    judge: null,
    value: null,
    host: null,
    address: null,
    user: null,
    expires_at: null,
    owner: "alice",
    remark: "",
    created_at: ago(86_400),
    finding: null,
    hits: 0,
    last_hit_at: null,
    removed_at: null,
    removed_by: "",
    ...own,
  };
}

export const DETECTIONS: Detection[] = Array.from({ length: 160 }, (_, index) => {
  const rule = at(RULES, index);
  const found = (index * 37) % 90;
  return {
    id: index < RULES.length ? rule.id : `${rule.id.slice(0, 8)}${String(100 + index)}`,
    title: rule.title,
    sentence: both(
      "{Image} of {User} takes its commands from {StdinPeerAddress}",
      "{User} 的 {Image} 正从 {StdinPeerAddress} 接收命令",
    ),
    category: rule.category,
    family: rule.category,
    kind: rule.kind,
    severity: rule.severity,
    maturity: at(["stable", "stable", "incubating"] as const, index),
    why: rule.why,
    advice: rule.advice,
    techniques: rule.techniques,
    actions: rule.actions,
    params: ["source", "Image", "User"],
    false_alarms: [
      both("An administrator who debugs a network service by hand.", "管理员手工调试网络服务。"),
    ],
    blind_spots: [
      both("Shells that are relayed by a packaged service.", "由软件包内服务中继的 shell。"),
    ],
    cases: [
      { name: "a copy of a shell as crond in /tmp", fires: true },
      { name: "a miner as a web server in a hidden folder", fires: true },
      { name: "a service starts while its package is being set up", fires: false },
    ],
    cases_fire: 2 + (index % 5),
    cases_quiet: 1 + (index % 3),
    found_7d: found >> 2,
    found_30d: found,
    dismissed_30d: found >> 3,
    false_alarm_rate: found === 0 ? null : (found >> 3) / found,
    on: index % 23 !== 9,
    groups_on: [],
    groups_off: index === 2 ? [at(GROUPS, 1).id] : [],
  };
});
