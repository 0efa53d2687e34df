import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import { Feed } from "../../test/feed";
import { show } from "../../test/render";
import { finding } from "../../test/world";

test("the filters of the URL reach the server", async () => {
  const { sent } = show("/events?kind=alarm&status=unhandled&severity=high");
  await screen.findAllByText(/failed to log in 41 times/);
  const asked = sent.find((it) => it.what.startsWith("GET /findings?"));
  expect(asked?.what).toContain("kind=alarm");
  expect(asked?.what).toContain("status=unhandled");
  expect(asked?.what).toContain("severity=high");
});

test("a new event is announced and the list stays", async () => {
  show("/events");
  const table = await screen.findByRole("region", { name: "Events" });
  await within(table).findAllByText(/failed to log in 41 times/);
  const before = within(table).getAllByRole("row").length;
  Feed.latest?.emit("finding", { item: { ...finding(0), id: "finding_7zzzzzzzzzzzz" } });
  await screen.findByRole("button", { name: "1 new: show" });
  expect(within(table).getAllByRole("row").length).toBe(before);
  expect(document.title).toBe("(1) Events · Garrison");
});

test("a known event changes in place and is not announced", async () => {
  show("/events");
  await screen.findAllByText(/failed to log in 41 times/);
  Feed.latest?.emit("finding", { item: { ...finding(0), count: 98_765 } });
  await screen.findByText("98,765");
  expect(screen.queryByText(/new: show/)).toBeNull();
});

test("handling shows its plan, asks for a remark and can be undone", async () => {
  const user = userEvent.setup();
  const { sent } = show("/events");
  const [button] = await screen.findAllByRole("button", { name: "Handle" });
  if (!button) throw new Error("no button to handle with");
  await user.click(button);
  const dialog = await screen.findByRole("dialog");
  await within(dialog).findByText("closes 1 event on web-00000");
  const decide = within(dialog).getByRole("button", { name: "Mark as handled" });
  expect(decide).toHaveProperty("disabled", true);
  await user.type(within(dialog).getByRole("textbox"), "blocked");
  await user.click(decide);
  await user.click(await screen.findByRole("button", { name: "Undo" }));
  await waitFor(() => expect(sent.some((it) => it.what === "POST /findings/unhandle")).toBe(true));
  const handled = sent.find((it) => it.what === "POST /findings/handle");
  expect(handled?.body).toEqual({
    ids: [finding(0).id],
    action: "mark_handled",
    remark: "blocked",
    options: {},
  });
});

test("all of a kind are handled by a job that can be undone", async () => {
  const user = userEvent.setup();
  const { sent } = show(`/events?open=${finding(0).id}`);
  await user.click(await screen.findByRole("button", { name: "All of this kind…" }));
  const dialog = (await screen.findAllByRole("dialog")).at(-1) as HTMLElement;
  await within(dialog).findByText("closes 312 events on 41 servers");
  const { kind, rule } = finding(0);
  expect(sent.find((it) => it.what === "POST /handling/jobs/plan")?.body).toEqual({
    filter: { kind, rule },
    action: "mark_handled",
  });
  await user.type(within(dialog).getByRole("textbox"), "blocked");
  await user.click(within(dialog).getByRole("button", { name: "Mark as handled" }));
  await user.click(await screen.findByRole("button", { name: "Undo all 312" }));
  await waitFor(() =>
    expect(sent.some((it) => /^POST \/handling\/jobs\/job_\w+\/undo$/.test(it.what))).toBe(true),
  );
  expect(sent.find((it) => it.what === "POST /handling/jobs")?.body).toEqual({
    filter: { kind, rule },
    action: "mark_handled",
    remark: "blocked",
  });
});

test.each([
  ["/events?category=brute_force", true],
  ["/events?category=brute_force&status=handled", false],
  ["/events?span=24h", false],
  ["/events", false],
] as const)("%s offers to handle all that match: %s", async (path, offered) => {
  show(path);
  await screen.findAllByText(/failed to log in 41 times/);
  const button = screen.queryByRole("button", { name: "Handle all that match…" });
  expect(button !== null).toBe(offered);
});

test("a whitelist entry that is too wide asks for a second look", async () => {
  const user = userEvent.setup();
  const { sent } = show("/events");
  const [button] = await screen.findAllByRole("button", { name: "Handle" });
  if (!button) throw new Error("no button to handle with");
  await user.click(button);
  const dialog = await screen.findByRole("dialog");
  await user.click(await within(dialog).findByRole("radio", { name: /alarm whitelist/ }));
  expect(await within(dialog).findByText(/kept quiet 812 of 1,241 alarms/)).toBeTruthy();
  expect(await within(dialog).findByText(/would have silenced 812/)).toBeTruthy();
  const add = within(dialog).getByRole("button", { name: "Add to the whitelist" });
  expect(add).toHaveProperty("disabled", true);
  await user.click(within(dialog).getByRole("checkbox", { name: /I have read the warnings/ }));
  await user.click(add);
  await screen.findByRole("button", { name: "Undo" });
  const handled = sent.find((it) => it.what === "POST /findings/handle");
  expect(handled?.body).toMatchObject({ action: "alarm_whitelist", ids: [finding(0).id] });
});

test("filters can be kept under a name and taken up again", async () => {
  const user = userEvent.setup();
  const { router } = show("/events?severity=high&technique=T1110");
  await user.click(await screen.findByRole("button", { name: /Views/ }));
  await user.type(await screen.findByRole("textbox", { name: "Name of the view" }), "Guessing");
  await user.click(screen.getByRole("button", { name: "Save these filters" }));
  await user.click(screen.getByRole("button", { name: "Clear filters" }));
  await waitFor(() => expect(router.state.location.search).toEqual({}));
  await user.click(screen.getByRole("button", { name: /Views/ }));
  await user.click(await screen.findByRole("button", { name: "Guessing" }));
  await waitFor(() =>
    expect(router.state.location.search).toEqual({ severity: "high", technique: "T1110" }),
  );
});

test.each([
  ["empty", "No events yet"],
  ["failing", "the store does not answer"],
] as const)("a list that is %s says so", async (mood, text) => {
  show("/events", mood);
  expect(await screen.findByText(text)).toBeTruthy();
});

test("the drawer shows why and the evidence, in Chinese too", async () => {
  show(`/events?open=${finding(0).id}`, "full", "zh");
  expect(await screen.findByText(/同一地址在短时间内/, { selector: "p" })).toBeTruthy();
  expect(screen.getAllByText(/Failed password for root/, { selector: "code" }).length).toBe(5);
  expect(screen.getByText("省略了更早的 36 行")).toBeTruthy();
});

test("an alarm says what, how sure and what to do before its proof", async () => {
  show(`/events/${finding(1).id}`);
  const sure = await screen.findByText("95% sure");
  const heads = ["What to do", "Why this matters", "Evidence"].map((name) =>
    screen.getByRole("heading", { name }),
  );
  const order = [sure, screen.getByRole("heading", { level: 2 }), ...heads];
  for (const [index, it] of order.slice(1).entries())
    expect(order[index]?.compareDocumentPosition(it)).toBe(Node.DOCUMENT_POSITION_FOLLOWING);
});

test("a response on the page of an alarm opens the dialog with it chosen", async () => {
  const user = userEvent.setup();
  const { sent } = show(`/events/${finding(1).id}`);
  await user.click(await screen.findByRole("button", { name: "Isolate and kill…" }));
  const dialog = await screen.findByRole("dialog");
  expect(within(dialog).getByRole("radio", { name: /Isolate and kill/ })).toHaveProperty(
    "checked",
    true,
  );
  await waitFor(() => expect(sent.some((it) => it.what === "POST /findings/plan")).toBe(true));
  expect(sent.find((it) => it.what === "POST /findings/plan")?.body).toMatchObject({
    action: "isolate_and_kill",
  });
});

test("a moment is typed in the order of ISO 8601, whatever the browser speaks", async () => {
  const user = userEvent.setup();
  const { router } = show("/events?since=2026-11-01T00:00:00.000Z");
  const field = await screen.findByRole("textbox", { name: "Until" });
  await user.click(field);
  await user.type(field, "2026-11-20 03:10");
  await user.tab();
  await waitFor(() =>
    expect(router.state.location.search).toEqual({
      since: "2026-11-01T00:00:00.000Z",
      until: new Date(2026, 10, 20, 3, 10).toISOString(),
    }),
  );
});
