import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import { show } from "../../test/render";
import { blocked, isolated } from "../../test/world-response";

test("a file goes back only after its plan was read", async () => {
  const user = userEvent.setup();
  const { sent } = show(`/response/isolated?open=${isolated(0).id}`);
  await user.click(await screen.findByRole("button", { name: "Restore" }));
  const dialogs = await screen.findAllByRole("dialog");
  const dialog = dialogs.at(-1) as HTMLElement;
  expect(within(dialog).getByText(/goes back to its place with its bytes/)).toBeTruthy();
  await user.click(within(dialog).getByRole("button", { name: "Restore" }));
  await waitFor(() =>
    expect(sent.find((it) => it.what === "POST /isolated-files/restore")?.body).toEqual({
      ids: [isolated(0).id],
    }),
  );
});

test("the filters of blocked addresses reach the server, half an address does not", async () => {
  const user = userEvent.setup();
  const { sent } = show("/response/blocked?state=active&q=203.0.113.7");
  expect((await screen.findAllByText(blocked(0).address)).length).toBeGreaterThan(0);
  const asked = sent.find((it) => it.what.startsWith("GET /blocked-addresses"));
  expect(asked?.what).toContain("state=active");
  expect(asked?.what).toContain("address=203.0.113.7");
  const [button] = screen.getAllByRole("button", { name: "Unblock" });
  if (!button) throw new Error("nothing to unblock");
  await user.click(button);
  expect(await screen.findByText(/Its packets reach the server again/)).toBeTruthy();
});

test("entries of both whitelists, each on its own list", async () => {
  const user = userEvent.setup();
  show("/response/whitelist", "full", "zh");
  expect(await screen.findByText("our own scanner")).toBeTruthy();
  expect(screen.getByText("412")).toBeTruthy();
  await user.click(screen.getByText("登录白名单"));
  expect(await screen.findByText("backup")).toBeTruthy();
  expect(screen.queryByText("412")).toBeNull();
});

test("a response that waits for its agent can be cancelled", async () => {
  const user = userEvent.setup();
  const { sent } = show("/response/isolated");
  const [cancel] = await screen.findAllByRole("button", { name: "Cancel" });
  if (!cancel) throw new Error("nothing waits");
  await user.click(cancel);
  await waitFor(() =>
    expect(sent.some((it) => it.what.startsWith("DELETE /responses/"))).toBe(true),
  );
});

test("an entry is changed: its end, its owner, what it is about", async () => {
  const user = userEvent.setup();
  const { sent } = show("/response/whitelist");
  await screen.findByText("our own scanner");
  const [change] = await screen.findAllByRole("button", { name: "Change" });
  if (!change) throw new Error("nothing to change");
  await user.click(change);
  const dialog = await screen.findByRole("dialog");
  await within(dialog).findByText(/kept quiet 812 of 1,241 alarms/);
  const owner = within(dialog).getByRole("textbox", { name: "Owner" });
  await user.clear(owner);
  await user.type(owner, "bob");
  await user.click(within(dialog).getByRole("button", { name: "Save" }));
  await waitFor(() =>
    expect(sent.find((it) => it.what === "PATCH /whitelist/entry-0")?.body).toEqual({
      never_expires: false,
      remark: "our own scanner",
      owner: "bob",
      confirm: false,
    }),
  );
});

test("a decision can be undone from the history", async () => {
  const user = userEvent.setup();
  const { sent } = show("/response/history");
  const [undo] = await screen.findAllByRole("button", { name: "Undo" });
  if (!undo) throw new Error("nothing to undo");
  await user.click(undo);
  await waitFor(() => expect(sent.some((it) => it.what === "POST /findings/unhandle")).toBe(true));
});

test.each([
  ["isolated", "empty", "No isolated files"],
  ["blocked", "empty", "No blocked addresses"],
  ["whitelist", "empty", "No entries"],
  ["history", "empty", "Nothing was decided yet"],
  ["blocked", "failing", "the store does not answer"],
] as const)("%s when the server is %s", async (section, mood, text) => {
  show(`/response/${section}`, mood);
  expect(await screen.findByText(text)).toBeTruthy();
});
