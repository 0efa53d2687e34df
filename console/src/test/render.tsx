// Puts the whole console at one URL, with the made-up fleet behind it.
import { QueryClientProvider } from "@tanstack/react-query";
import { createMemoryHistory, RouterProvider } from "@tanstack/react-router";
import { render } from "@testing-library/react";
import { vi } from "vitest";
import { Look } from "../look";
import { setPrefs } from "../prefs";
import { makeQueryClient } from "../queries";
import { makeRouter } from "../routes";
import { answer, type Mood } from "./world";

/** Every request that was sent, as `METHOD path?query`, with its body. */
interface Sent {
  what: string;
  body: unknown;
}

export function show(path: string, mood: Mood = "full", language: "en" | "zh" = "en") {
  const sent: Sent[] = [];
  vi.stubGlobal("fetch", async (request: Request) => {
    const url = new URL(request.url);
    const api = url.pathname.slice("/api/v1".length);
    const text = await request.text();
    const given: unknown = text ? JSON.parse(text) : undefined;
    sent.push({ what: `${request.method} ${api}${url.search}`, body: given });
    const { status, body } = answer(mood, request.method, api, url.searchParams, given);
    return new Response(JSON.stringify(body), {
      status,
      headers: { "content-type": "application/json" },
    });
  });
  setPrefs({ language, scheme: "light" });
  const queries = makeQueryClient();
  queries.setDefaultOptions({ queries: { retry: false } });
  const router = makeRouter(queries);
  router.update({ ...router.options, history: createMemoryHistory({ initialEntries: [path] }) });
  render(
    <QueryClientProvider client={queries}>
      <Look>
        <RouterProvider router={router} />
      </Look>
    </QueryClientProvider>,
  );
  return { sent, router };
}
