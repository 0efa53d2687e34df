import { expect, test } from "vitest";
import { cutMiddle, formatAgo, formatBytes, formatCountry, formatPercent } from "./format";

const NOW = Date.parse("2026-11-23T12:00:00Z");

test.each([
  [0, "0 B", "0 B"],
  [1023, "1,023 B", "1,023 B"],
  [1024, "1 KiB", "1 KiB"],
  [1536, "1.5 KiB", "1.5 KiB"],
  [16 * 1024 ** 3, "16 GiB", "16 GiB"],
])("%d bytes", (value, en, zh) => {
  expect(formatBytes(value, "en")).toBe(en);
  expect(formatBytes(value, "zh")).toBe(zh);
});

test.each([
  [5, "now", "现在"],
  [59, "now", "现在"],
  [60, "1 min ago", "1分钟前"],
  [3_599, "59 min ago", "59分钟前"],
  [86_400, "yesterday", "昨天"],
  [5 * 86_400, "5 days ago", "5天前"],
])("%d seconds ago", (seconds, en, zh) => {
  expect(formatAgo(NOW - seconds * 1000, NOW, "en")).toBe(en);
  expect(formatAgo(NOW - seconds * 1000, NOW, "zh")).toBe(zh);
});

test.each([
  ["short", 10, "short"],
  ["/usr/lib/systemd/systemd", 12, "/usr…systemd"],
])("cuts %s to %d", (text, max, shown) => {
  expect(cutMiddle(text, max)).toBe(shown);
  expect(cutMiddle(text, max).length).toBeLessThanOrEqual(max);
});

test("countries and shares", () => {
  expect(formatCountry("BR", "en")).toBe("Brazil");
  expect(formatCountry("BR", "zh")).toBe("巴西");
  expect(formatCountry("not known", "en")).toBe("not known");
  expect(formatPercent(0.0021, "en")).toBe("0.2%");
});
