import { screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import { show } from "../../test/render";

test("a token says what it may do, and is made with at least one permission", async () => {
  const user = userEvent.setup();
  show("/settings/tokens");
  expect(await screen.findByTitle("See, Handle findings and respond")).toBeTruthy();
  const make = screen.getByRole("button", { name: "Make a token" });
  await user.type(screen.getByLabelText("Name"), "reports");
  expect((make as HTMLButtonElement).disabled).toBe(false);
  const may = screen.getByLabelText("May");
  await user.click(may);
  expect(await screen.findByTitle("Read the audit log")).toBeTruthy();
  // Taking the only one away leaves nothing to make.
  await user.type(may, "{Backspace}");
  expect((make as HTMLButtonElement).disabled).toBe(true);
});
