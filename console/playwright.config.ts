import { defineConfig } from "@playwright/test";

const chromium = {
  browserName: "chromium" as const,
  viewport: { width: 1440, height: 900 },
  launchOptions: {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  },
};

export default defineConfig({
  testDir: "e2e",
  outputDir: "test-results",
  forbidOnly: true,
  retries: 0,
  fullyParallel: true,
  workers: 2,
  timeout: 300_000,
  reporter: "list",
  use: chromium,
  projects: [
    // The built pages over a made-up fleet: looks, states, sizes and accessibility.
    {
      name: "pages",
      testMatch: "pages.spec.ts",
      use: { contextOptions: { reducedMotion: "reduce" } },
    },
    // The real program, from its first start.
    { name: "garrison", testMatch: "garrison.spec.ts" },
  ],
});
