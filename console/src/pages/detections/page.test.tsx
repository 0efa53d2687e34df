import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import { show } from "../../test/render";
import { DETECTIONS } from "../../test/world-response";

test("a rule shows what proves it and is switched for one group", async () => {
  const user = userEvent.setup();
  const { sent } = show(`/detections?open=${DETECTIONS[1]?.id}`);
  const drawer = await screen.findByRole("dialog");
  expect(await within(drawer).findByText("Where it is on")).toBeTruthy();
  expect(within(drawer).getByText(/fire, .* stay quiet/)).toBeTruthy();
  const group = await within(drawer).findByRole("radiogroup", { name: "In web front ends" });
  await user.click(within(group).getByText("Off"));
  await waitFor(() =>
    expect(sent.find((it) => it.what.startsWith("PUT /detections/"))?.body).toMatchObject({
      state: "off",
    }),
  );
});

test("text, category and state narrow the list, and stand in the URL", async () => {
  const user = userEvent.setup();
  const { router } = show("/detections?on=off");
  const off = DETECTIONS.filter((it) => !it.on).length;
  expect(await screen.findByText(`${off} rows`)).toBeTruthy();
  await user.type(screen.getByRole("textbox", { name: "Rule, words or technique" }), "T1059");
  await waitFor(() => expect(router.state.location.search).toEqual({ on: "off", q: "T1059" }));
});

test("rules that cannot be read are told of, in Chinese", async () => {
  show("/detections", "failing", "zh");
  expect(await screen.findByText("the store does not answer")).toBeTruthy();
});
