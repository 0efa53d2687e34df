// What agents say of responses.
import type { AgentResponse } from "../contract";
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
    steps:
      index % 3 === 2
        ? []
        : [
            {
              sentence: both("ended kworker (41877)", "终止 kworker（41877）"),
              done: true,
              reason: "",
            },
            {
              sentence: both(
                "moved /dev/shm/.x/kworker into the vault",
                "将 /dev/shm/.x/kworker 移入隔离区",
              ),
              done: index % 3 === 0,
              reason: index % 3 === 0 ? "" : "the file changed meanwhile",
            },
          ],
  };
}
