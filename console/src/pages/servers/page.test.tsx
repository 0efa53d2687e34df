import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import { Feed } from "../../test/feed";
import { show } from "../../test/render";
import { host } from "../../test/world";

test("ten thousand servers are read page by page", async () => {
  const user = userEvent.setup();
  show("/servers");
  expect(await screen.findByText("100 of 10,000")).toBeTruthy();
  await user.click(screen.getByRole("button", { name: "Load more" }));
  expect(await screen.findByText("200 of 10,000")).toBeTruthy();
  // Only what can be seen is drawn.
  expect(screen.getAllByRole("row").length).toBeLessThan(60);
});

test("a server that goes offline changes in place", async () => {
  show("/servers");
  const link = await screen.findByRole("link", { name: host(0).name });
  const row = link.closest("tr");
  if (!row) throw new Error("no row");
  Feed.latest?.emit("host", { id: host(0).id, connection: "offline", protection: "unprotected" });
  expect(await within(row).findByText("Unprotected")).toBeTruthy();
});

test("without servers the page says how to add one", async () => {
  show("/servers", "empty");
  expect(await screen.findByText("No servers yet")).toBeTruthy();
  expect(screen.getAllByRole("button", { name: /Add a server/ }).length).toBeGreaterThan(0);
});
