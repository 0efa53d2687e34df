import AxeBuilder from "@axe-core/playwright";
import { expect, type Page, test } from "@playwright/test";
import { finding, host } from "../src/test/world";
import { ORIGIN, serve } from "./pages";

const HOST = host(0).id;
const FINDING = finding(0).id;

/** Every page, with the name of its picture. */
const PLACES: [name: string, path: string][] = [
  ["dashboard", "/"],
  ["dashboard-30", "/?days=30"],
  ["servers", "/servers"],
  ["server", `/servers/${HOST}`],
  ["server-events", `/servers/${HOST}?tab=events`],
  ["server-assets", `/servers/${HOST}?tab=assets`],
  ["server-changes", `/servers/${HOST}?tab=changes`],
  ["server-protection", `/servers/${host(1).id}?tab=protection`],
  ["server-activity", `/servers/${HOST}?tab=activity`],
  ["assets", "/assets"],
  ["asset-values", "/assets/port"],
  ["asset-rows", "/assets/port?view=rows"],
  ["changes", "/changes"],
  ["events", "/events?status=unhandled"],
  ["events-drawer", `/events?open=${FINDING}`],
  ["finding", `/events/${FINDING}`],
  ["enrolment", "/settings/enrolment"],
  ["policy", "/settings/policy"],
  ["users", "/settings/users"],
  ["tokens", "/settings/tokens"],
  ["retention", "/settings/retention"],
  ["audit", "/settings/audit"],
];

async function choose(page: Page, language: string, scheme: string): Promise<void> {
  await page.addInitScript((prefs) => localStorage.setItem("garrison", JSON.stringify(prefs)), {
    language,
    scheme,
  });
}

async function settled(page: Page): Promise<void> {
  await page.locator("h1, h2").first().waitFor();
  await expect(page.locator(".waiting, .ant-skeleton")).toHaveCount(0, { timeout: 30_000 });
}

/** Fails on what stops people; colours are checked in both schemes. */
async function isAccessible(page: Page, where: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const bad = violations.filter((it) => it.impact === "serious" || it.impact === "critical");
  const told = bad.map(
    (it) =>
      `${it.id}: ${it.nodes
        .map((node) => node.html)
        .slice(0, 3)
        .join(" ")}`,
  );
  expect(told, where).toEqual([]);
}

for (const [language, scheme] of [
  ["en", "light"],
  ["zh", "light"],
  ["en", "dark"],
  ["zh", "dark"],
] as const) {
  test(`every page, ${language}, ${scheme}`, async ({ page }) => {
    await serve(page, "full");
    await choose(page, language, scheme);
    const errors: string[] = [];
    page.on("pageerror", (it) => errors.push(it.message));
    page.on("console", (it) => it.type() === "error" && errors.push(it.text()));
    for (const [name, path] of PLACES) {
      await page.goto(ORIGIN + path);
      await settled(page);
      await page.screenshot({ path: `shots/pages/${name}-${language}-${scheme}.png` });
      // Structure is the same in both languages; colours differ by scheme.
      if (language === "en") await isAccessible(page, `${name} ${path}`);
      expect(errors, path).toEqual([]);
    }
  });
}

test("the dashboard fits one screen at 1440x900", async ({ page }) => {
  await serve(page, "full");
  await choose(page, "en", "light");
  await page.goto(ORIGIN);
  await settled(page);
  const content = page.locator("#content");
  const [scroll, height] = await content.evaluate((it) => [it.scrollHeight, it.clientHeight]);
  expect(scroll).toBeLessThanOrEqual(height ?? 0);
});

for (const mood of ["empty", "failing"] as const) {
  test(`every page says so when the server is ${mood}`, async ({ page }) => {
    await serve(page, mood);
    await choose(page, "en", "light");
    for (const [name, path] of PLACES.filter(
      ([, path]) => !/\/(servers|events)\/|port/.test(path),
    )) {
      await page.goto(ORIGIN + path);
      await settled(page);
      await page.screenshot({ path: `shots/pages/${name}-${mood}.png` });
      if (mood === "failing" && !name.startsWith("finding"))
        await expect(page.getByRole("button", { name: "Try again" }).first()).toBeVisible();
    }
  });
}

test("the sign-in page", async ({ page }) => {
  await serve(page, "signed_out");
  for (const language of ["en", "zh"]) {
    await choose(page, language, "light");
    await page.goto(ORIGIN);
    await expect(page.locator("form")).toBeVisible();
    await page.screenshot({ path: `shots/pages/sign-in-${language}.png` });
    await isAccessible(page, "sign-in");
  }
});

test("the sign-in page loads less than 400 kB gzip", async ({ page }) => {
  const { gzipSync } = await import("node:zlib");
  await serve(page, "signed_out");
  await choose(page, "zh", "light");
  let total = 0;
  page.on("response", async (it) => {
    if (!it.url().includes("/api/")) total += gzipSync(await it.body()).length;
  });
  await page.goto(ORIGIN);
  await page.locator("form").waitFor();
  await page.waitForLoadState("networkidle");
  test.info().annotations.push({ type: "kB gzip", description: String(Math.round(total / 1000)) });
  expect(total).toBeLessThan(400_000);
});
