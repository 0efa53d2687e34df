import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import { show } from "../../../test/render";

test("channels say how sending goes, and a test says why not", async () => {
  const user = userEvent.setup();
  const { sent } = show("/settings/notifications");
  const failing = (await screen.findByText("on-call")).closest("tr");
  if (!failing) throw new Error("no row");
  expect(within(failing).getByText(/Fails: hooks.slack.com answered 404: no_team/)).toBeTruthy();
  expect(screen.getByText(/^Works/)).toBeTruthy();
  const dead = within(failing).getByRole("link", { name: "2" });
  expect(dead.getAttribute("href")).toContain("state=dead");
  await user.click(within(failing).getByRole("button", { name: "Test" }));
  expect(await screen.findByText("Not sent: hooks.slack.com answered 404: no_team")).toBeTruthy();
  expect(sent.find((it) => it.what.endsWith("/test"))?.body).toEqual({ language: "en" });
});

test("secrets are given and never shown", async () => {
  const user = userEvent.setup();
  const { sent } = show("/settings/notifications");
  const row = (await screen.findByText("on-call")).closest("tr");
  if (!row) throw new Error("no row");
  await user.click(within(row).getByRole("button", { name: "More" }));
  await user.click(await screen.findByText("Change"));
  const secret = await screen.findByLabelText("Webhook address");
  expect((secret as HTMLInputElement).value).toBe("");
  expect(secret.getAttribute("placeholder")).toBe("Stored; leave empty to keep it");
  await user.click(screen.getByRole("button", { name: "Save" }));
  const put = () => sent.find((it) => it.what.startsWith("PUT /notifications/channels/"));
  await expect.poll(put).toBeTruthy();
  expect(put()?.body).toMatchObject({ name: "on-call", secrets: {} });
});

test("the delivery log shows what was given up, and sends it again", async () => {
  const user = userEvent.setup();
  const { sent } = show("/settings/notifications?view=deliveries&state=dead");
  expect(await screen.findByText(/Tried 3 of 16 times/)).toBeTruthy();
  await user.click(screen.getByRole("button", { name: "Send again" }));
  await expect.poll(() => sent.some((it) => it.what.endsWith("/retry"))).toBe(true);
  expect(sent.some((it) => it.what.includes("deliveries?state=dead"))).toBe(true);
});

test("why a message was given up is told in the reader's language", async () => {
  show("/settings/notifications?view=deliveries", "full", "zh");
  expect(
    await screen.findByText("尝试 1 次后放弃：hooks.slack.com 返回 404：no_team"),
  ).toBeTruthy();
});

test("without channels a route cannot be made", async () => {
  show("/settings/notifications?view=routes", "empty");
  expect(await screen.findByText("Add a channel first.")).toBeTruthy();
  const add = screen.getByRole("button", { name: "Add a route" });
  expect(add.hasAttribute("disabled")).toBe(true);
});
