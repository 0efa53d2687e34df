// What agents say of responses.
import type { AgentResponse, HandlingJob } from "../contract";
import { ago, at, both, id } from "./world-base";
import { hostRef } from "./world-fleet";

export function agentResponse(index: number): AgentResponse {
  return {
    id: id("response", 900 - index),
    host: hostRef(index),
    action: at(["isolate", "block"] as const, index),
    state: at(["done", "partial", "waiting"] as const, index),
    finding: id("finding", 999_999),
    subject: at(["/dev/shm/.x/kworker", "203.0.113.7"], index),
    by: at(["alice", ""], index),
    created_at: ago(index * 900 + 60),
    expires_at: ago(-86_400),
    finished_at: index % 3 === 2 ? null : ago(index * 900 + 58),
    reason: "",
    why: null,
    steps:
      index % 3 === 2
        ? []
        : [
            {
              sentence: both("ended kworker (41877)", "终止 kworker（41877）"),
              done: true,
              reason: "",
              why: null,
            },
            {
              sentence: both(
                "moved /dev/shm/.x/kworker into the vault",
                "将 /dev/shm/.x/kworker 移入隔离区",
              ),
              done: index % 3 === 0,
              reason:
                index % 3 === 0
                  ? ""
                  : "/dev/shm/.x/kworker is another file than the one that was meant",
              why:
                index % 3 === 0
                  ? null
                  : { id: "vault.changed", params: { path: "/dev/shm/.x/kworker" } },
            },
          ],
  };
}

export const JOB_PLAN = {
  findings: 312,
  complete: true,
  hosts: 41,
  summary: both("closes 312 events on 41 servers", "关闭 41 台服务器上的 312 个事件"),
  effects: [
    both("closed as dealt with by hand, with your remark", "标记为已手动处理，并记录备注"),
    both("what happens from now on is not part of it", "从现在起新发生的不包括在内"),
  ],
};

export function job(index: number): HandlingJob {
  return {
    id: id("job", 40 - index),
    state: at(["done", "stopped"] as const, index),
    action: at(["mark_handled", "ignore"] as const, index),
    by: at(["alice", "admin"], index),
    remark: "blocked at the firewall",
    filter: at<Record<string, string>>(
      [{ rule: "GAR-LOG-001" }, { category: "brute_force" }],
      index,
    ),
    started_at: ago(index * 4000 + 90),
    ended_at: ago(index * 4000 + 60),
    total: 312,
    done: at([312, 120], index),
    skipped: at([0, 3], index),
    undone: 0,
    undone_by: "",
    reason: "",
  };
}
