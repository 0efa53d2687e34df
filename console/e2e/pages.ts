// Serves dist/ and the made-up fleet to the browser, without a server process.
import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import type { Page } from "@playwright/test";
import { answer, type Mood } from "../src/test/world";

export const ORIGIN = "http://garrison.test";
const DIST = join(import.meta.dirname, "..", "dist");
const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};
/** As the real server sends it. */
const POLICY = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'";

/** An answered request ends at once; a feed that stays open has to be one of the page's own. */
function openFeed(): void {
  class OpenFeed extends EventTarget {
    readyState = 1;
    onopen: (() => void) | null = null;
    constructor() {
      super();
      setTimeout(() => this.onopen?.());
    }
    close(): void {}
  }
  Object.assign(window, { EventSource: OpenFeed });
}

export async function serve(page: Page, mood: Mood, feed: "open" | "cut" = "open"): Promise<void> {
  if (feed === "open") await page.addInitScript(openFeed);
  await page.route(`${ORIGIN}/**`, async (route) => {
    const request = route.request();
    const url = new URL(request.url());
    if (url.pathname === "/api/v1/live") return route.abort();
    if (url.pathname.startsWith("/api/v1")) {
      const { status, body } = answer(
        mood,
        request.method(),
        url.pathname.slice("/api/v1".length),
        url.searchParams,
        request.postDataJSON() ?? undefined,
      );
      return route.fulfill({ status, json: body });
    }
    const path = extname(url.pathname) === "" ? "/index.html" : url.pathname;
    return route.fulfill({
      body: await readFile(join(DIST, path)),
      contentType: TYPES[extname(path)] ?? "application/octet-stream",
      headers: { "content-security-policy": POLICY },
    });
  });
}
