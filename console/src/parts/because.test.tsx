import { renderHook } from "@testing-library/react";
import { expect, test } from "vitest";
import { loadLanguage } from "../i18n";
import { useBecause } from "./because";

const CAUSE = "fanotify: cannot watch /usr: No space left on device (os error 28)";

test.each([
  ["en", "vault.changed", { path: "/a" }, "/a is another file than the one that was meant"],
  ["zh", "vault.changed", { path: "/a" }, "/a 已不是原来要处理的文件"],
  [
    "zh",
    "self_protection.failed",
    { cause: CAUSE },
    "无法发现代理自身文件的改动：fanotify: cannot watch /usr: 磁盘空间不足",
  ],
  ["zh", "kill.remain", { count: "3" }, "3 个进程未能及时结束"],
  [
    "zh",
    "file.kind",
    { path: "/a", found: "FIFO", wanted: "file" },
    "/a 的类型是 FIFO，而不是 文件",
  ],
  ["en", "config.no_job", { place: "/etc/crontab:6" }, "/etc/crontab:6: no job and no variable"],
  ["zh", "config.no_job", { place: "/etc/crontab:6" }, "/etc/crontab:6：既不是任务也不是变量"],
  ["zh", "of.a_newer_agent", {}, "in English"],
] as const)("in %s, %s", async (language, id, params, said) => {
  await loadLanguage(language);
  const { result } = renderHook(() => useBecause());
  expect(result.current("in English", { id, params })).toBe(said);
});

test("without an id it is what the agent wrote", async () => {
  await loadLanguage("zh");
  const { result } = renderHook(() => useBecause());
  expect(result.current("in English", null)).toBe("in English");
});
