import { screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import { show } from "../../test/render";

test("a person without a session comes back to where they wanted to go", async () => {
  const user = userEvent.setup();
  const { sent, router } = show("/servers?q=web", "signed_out");
  await user.type(await screen.findByLabelText("Name"), "admin");
  expect(router.state.location.pathname).toBe("/sign-in");
  expect(router.state.location.search).toEqual({ next: "/servers?q=web" });
  await user.type(screen.getByLabelText("Password"), "secret words here");
  await user.click(screen.getByRole("button", { name: "Sign in" }));
  expect(sent.find((it) => it.what === "POST /session")?.body).toEqual({
    name: "admin",
    password: "secret words here",
  });
});
