import { existsSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import AxeBuilder from "@axe-core/playwright";
import { expect, type Page, test } from "@playwright/test";
import {
  type Running,
  SSHD_NEEDS,
  type Sshd,
  startGarrison,
  startSshd,
  startVictim,
} from "./garrison";

const BINARY = process.env.GARRISON_BIN ?? "";
const NEW_PASSWORD = "four quiet words here";
// Never the same twice: what an earlier run left in the log is history by now.
const ATTACKER = `127.${[...crypto.getRandomValues(new Uint8Array(3))].map((it) => 1 + (it % 250)).join(".")}`;
const FAILURES = 8;
/** The first full scan has to be on the console by then. */
const SCAN_MS = 60_000;

const missing = SSHD_NEEDS.filter((it) => !existsSync(it));
const lacks =
  BINARY === "" ? "GARRISON_BIN is not set" : missing.map((it) => `${it} is missing`).join(", ");

test.describe.configure({ mode: "serial" });
test.skip(lacks !== "", lacks);

let garrison: Running;
let sshd: Sshd;
let page: Page;

test.beforeAll(async ({ browser }) => {
  garrison = await startGarrison(BINARY);
  sshd = await startSshd();
  page = await (await browser.newContext()).newPage();
  await page.addInitScript(() => {
    if (!localStorage.getItem("garrison"))
      localStorage.setItem("garrison", JSON.stringify({ language: "en", scheme: "light" }));
  });
});

test.afterAll(async () => {
  await sshd?.stop();
  await garrison?.stop();
});

test("the printed password signs in once and must be changed", async () => {
  await page.goto(garrison.origin);
  await page.screenshot({ path: "shots/sign-in.png" });
  await page.getByLabel("Name").fill("admin");
  await page.getByLabel("Password").fill(garrison.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByLabel("Current password").fill(garrison.password);
  await page.getByLabel("New password", { exact: true }).fill(NEW_PASSWORD);
  await page.getByLabel("New password again").fill(NEW_PASSWORD);
  await page.screenshot({ path: "shots/password.png" });
  await page.getByRole("button", { name: "Change password" }).click();
  await expect(page.getByRole("heading", { name: "Dashboard" })).toBeVisible();
  await expect(page.getByRole("status").filter({ hasText: "Live" })).toBeVisible();
});

test("this machine and its real assets are there", async () => {
  await page.getByRole("link", { name: "Servers", exact: true }).click();
  const row = page.getByRole("row").filter({ hasText: hostname() });
  await expect(row).toBeVisible({ timeout: SCAN_MS });
  await row.getByRole("link", { name: hostname() }).click();
  await page.getByRole("tab", { name: "Assets" }).click();
  await page.getByRole("button", { name: /Accounts/ }).click();
  await page.getByRole("textbox", { name: "Search", exact: true }).fill("root");
  await expect(page.getByRole("row", { name: /^root 0 root/ })).toBeVisible({ timeout: SCAN_MS });
});

/** The number on a card of the dashboard. */
async function intrusions(): Promise<number> {
  const card = page.locator(".card[data-kind=alarm] .card-number");
  return Number.parseInt(((await card.textContent()) ?? "").replaceAll(/\D.*$/gs, ""), 10);
}

test("a real attack arrives live, is handled, counted and undone", async () => {
  await page.goto(`${garrison.origin}/`);
  await expect(page.locator(".card[data-kind=alarm]")).toBeVisible();
  const before = await intrusions();
  sshd.attack(ATTACKER, FAILURES);
  const row = page.locator(".latest li").filter({ hasText: ATTACKER }).first();
  await expect(row).toBeVisible({ timeout: 30_000 });
  await expect.poll(intrusions).toBeGreaterThan(before);
  const during = await intrusions();
  await page.screenshot({ path: "shots/dashboard.png" });
  await expect(page.locator(".board-intrusions .chart path").first()).toBeVisible();
  // The README's picture, docs/images/dashboard.png, is a copy of this one.
  await page.mouse.move(0, 0);
  await page.screenshot({ path: "shots/readme.png" });

  await row.getByRole("button", { name: "Handle" }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog.getByRole("heading", { name: "What will happen" })).toBeVisible();
  await dialog.getByRole("textbox").fill("our own test");
  await page.screenshot({ path: "shots/handle.png" });
  await dialog.getByRole("button", { name: "Mark as handled" }).click();
  await expect.poll(intrusions).toBe(during - 1);
  await page.getByRole("button", { name: "Undo" }).click();
  await expect.poll(intrusions).toBe(during);
  await expect(row).toBeVisible();
});

test("a process is ended, its file isolated, seen in the panel, and put back", async () => {
  test.skip(process.getuid?.() !== 0, "not root: processes of others are not seen");
  const victim = startVictim();
  try {
    await page.goto(`${garrison.origin}/events?kind=alarm&rule=GAR-PRC-001`);
    const row = page.getByRole("row").filter({ hasText: victim.path }).first();
    await expect(async () => {
      // New events are announced, and shown when asked for.
      const fresh = page.getByRole("button", { name: /new: show/ });
      if (await fresh.isVisible()) await fresh.click();
      await expect(row).toBeVisible({ timeout: 1_000 });
    }).toPass({ timeout: 30_000 });
    await row.getByRole("button", { name: "Handle" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("radio", { name: /Isolate and kill/ }).check();
    await expect(dialog.getByText(`moves ${victim.path}`)).toBeVisible();
    await page.screenshot({ path: "shots/isolate.png" });
    await dialog.getByRole("button", { name: "Isolate and kill" }).click();
    await expect.poll(() => victim.isRunning()).toBe(false);
    await expect.poll(() => existsSync(victim.path)).toBe(false);

    await page.goto(`${garrison.origin}/response/isolated`);
    const file = page.getByRole("row").filter({ hasText: victim.name });
    await expect(file).toContainText("Isolated", { timeout: 30_000 });
    await page.screenshot({ path: "shots/isolated.png" });
    await file.click();
    const drawer = page.getByRole("dialog", { name: "Isolated file" });
    await drawer.getByRole("button", { name: "Restore" }).click();
    await page.screenshot({ path: "shots/restore.png" });
    await page.locator(".ant-modal-confirm").getByRole("button", { name: "Restore" }).click();
    await expect(file).toContainText("Restored", { timeout: 30_000 });
    expect(readFileSync(victim.path).equals(victim.content)).toBe(true);
  } finally {
    victim.stop();
  }
});

test("every page, in both languages", async () => {
  await page.goto(`${garrison.origin}/servers`);
  const link = page.getByRole("row").getByRole("link", { name: hostname() });
  const server = (await link.getAttribute("href")) ?? "";
  const places: [string, string][] = [
    ["dashboard", "/"],
    ["servers", "/servers"],
    ["server", server],
    ...["events", "assets", "changes", "protection", "activity"].map((tab): [string, string] => [
      `server-${tab}`,
      `${server}?tab=${tab}`,
    ]),
    ["assets", "/assets"],
    ["asset-values", "/assets/account"],
    ["asset-rows", "/assets/port?view=rows"],
    ["changes", "/changes"],
    ["events", "/events"],
    ...["isolated", "blocked", "whitelist", "history"].map((it): [string, string] => [
      `response-${it}`,
      `/response/${it}`,
    ]),
    ["detections", "/detections"],
    ...["enrolment", "policy", "users", "tokens", "notifications", "retention", "audit"].map(
      (it): [string, string] => [`settings-${it}`, `/settings/${it}`],
    ),
  ];
  for (const [language, scheme] of [
    ["en", "light"],
    ["zh", "dark"],
  ] as const) {
    await page.evaluate((prefs) => localStorage.setItem("garrison", JSON.stringify(prefs)), {
      language,
      scheme,
    });
    for (const [name, path] of places) {
      await page.goto(garrison.origin + path);
      await page.locator("h1, h2").first().waitFor();
      await expect(page.locator(".waiting, .ant-skeleton")).toHaveCount(0, { timeout: 30_000 });
      await expect(page.locator(".ant-result"), `${name} is broken`).toHaveCount(0);
      await page.screenshot({ path: `shots/${name}-${language}.png` });
      const { violations } = await new AxeBuilder({ page }).analyze();
      const bad = violations.filter((it) => it.impact === "serious" || it.impact === "critical");
      expect(
        bad.map((it) => `${it.id}: ${it.nodes[0]?.html ?? ""}`),
        `${name} ${language}`,
      ).toEqual([]);
    }
  }
});
