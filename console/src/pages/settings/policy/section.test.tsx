import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import { show } from "../../../test/render";

const body = (sent: { what: string; body: unknown }[]) =>
  sent.find((it) => it.what === "PUT /policy")?.body as {
    version: number;
    policy: {
      login: { slow_window_s: number };
      collect: { logs: { format: string; path: string }[] };
      response: { block: boolean; never_block: string[] };
    };
  };

test("a policy is changed as a whole, over the version that was read", async () => {
  const user = userEvent.setup();
  const { sent } = show("/settings/policy");
  const save = await screen.findByRole("button", { name: "Save and send to agents" });
  expect(save).toHaveProperty("disabled", true);
  // Six hours are shown as six hours, and mean seconds.
  const span = screen.getByRole("spinbutton", { name: /^Time for: Slow brute force/ });
  expect(span).toHaveProperty("value", "6");
  await user.clear(span);
  await user.type(span, "8");
  await user.type(screen.getByRole("textbox", { name: "Path of the log" }), "/srv/auth.log");
  await user.click(screen.getAllByRole("button", { name: "Add" }).at(-1) as HTMLElement);
  await user.click(save);
  await screen.findByText("Saved");
  expect(body(sent).version).toBe(3);
  expect(body(sent).policy.login.slow_window_s).toBe(8 * 3600);
  expect(body(sent).policy.collect.logs.at(-1)).toEqual({
    format: "syslog",
    path: "/srv/auth.log",
  });
});

test("what an answer by itself can break is said beside its switch", async () => {
  const user = userEvent.setup();
  show("/settings/policy");
  expect(await screen.findByText(/No network of yours is on the never-block list/)).toBeTruthy();
  expect(screen.getByText(/rules act that are wrong now and then/)).toBeTruthy();
  await user.type(screen.getByRole("combobox", { name: "Never block" }), "10.0.0.0/8,");
  expect(screen.queryByText(/No network of yours/)).toBeNull();
  await user.click(screen.getByRole("button", { name: "Discard" }));
  expect(screen.getByText(/No network of yours/)).toBeTruthy();
});

test("the policy page fails and reads in Chinese", async () => {
  show("/settings/policy", "failing", "zh");
  const alert = await screen.findByRole("alert");
  expect(within(alert).getByText("the store does not answer")).toBeTruthy();
});
