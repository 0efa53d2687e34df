import { expect, test } from "vitest";
import { readPort } from "./pages/settings/policy/collect";
import { insidePath } from "./pages/sign-in/page";
import { edited, eventsSearch, parseSearch, serversSearch, stringifySearch } from "./search";

test("a search goes to the URL and back", () => {
  const search = eventsSearch({
    kind: "alarm",
    status: "unhandled",
    q: "203.0.113.7 & co",
    span: "7d",
  });
  expect(eventsSearch(parseSearch(stringifySearch(search)))).toEqual(search);
});

test("what is no choice is left out", () => {
  expect(eventsSearch({ kind: "cat", severity: 3, q: "", status: "handled" })).toEqual({
    status: "handled",
  });
  expect(serversSearch({ sort: "size", order: "up", protection: "degraded" })).toEqual({
    protection: "degraded",
  });
});

test("an edit adds, replaces and takes away", () => {
  expect(edited({ a: "1", b: "2" }, { a: undefined, b: "3" })).toEqual({ b: "3" });
});

test.each([
  ["/servers?q=a", "/servers?q=a"],
  ["//evil.example", "/"],
  ["/\\evil.example", "/"],
  ["https://evil.example", "/"],
  ["/sign-in?next=/", "/"],
  [undefined, "/"],
])("after signing in, %s leads to %s", (next, path) => {
  expect(insidePath(next)).toBe(path);
});

test.each([
  ["tcp/6379", [{ protocol: "tcp", port: 6379 }]],
  ["6379", [{ protocol: "tcp", port: 6379 }]],
  ["UDP/53", [{ protocol: "udp", port: 53 }]],
  ["udp/0", []],
  ["tcp/70000", []],
  ["sctp/1", []],
])("port %s", (text, ports) => {
  expect(readPort(text)).toEqual(ports);
});
