// Ten thousand servers: long names, Chinese, some offline, some half blind.
import type { Counts, Host } from "../contract";
import { ago, at, both, id } from "./world-base";

export const GROUPS = [
  "default",
  "web front ends",
  "数据库集群",
  "kubernetes-workers-eu-central-1",
].map((name, index) => ({
  id: id("group", index + 1),
  name,
  hosts: 2500,
  is_default: index === 0,
}));

const SYSTEMS = [
  { id: "debian", name: "Debian GNU/Linux", version: "12" },
  { id: "rocky", name: "Rocky Linux", version: "9.4" },
  { id: "openEuler", name: "openEuler", version: "22.03 LTS" },
];

export function counts(index: number): Counts {
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
        why: null,
      },
      { id: "socket_diag", state: "active", reason: "", why: null },
      { id: "journal", state: "active", reason: "", why: null },
      {
        id: "self_protection",
        state: "degraded",
        reason:
          "changes of the agent's files are not seen: fanotify: cannot watch /usr: No space left on device (os error 28)",
        why: {
          id: "self_protection.failed",
          params: { cause: "fanotify: cannot watch /usr: No space left on device (os error 28)" },
        },
      },
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

export function hostRef(index: number): { id: string; name: string } {
  const { id, name } = host(index % 40);
  return { id, name };
}
