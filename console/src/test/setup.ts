// jsdom draws nothing; these answer the questions that our parts ask a browser about layout.
import { cleanup, configure } from "@testing-library/react";
import { afterEach, vi } from "vitest";
import { Feed } from "./feed";

Object.defineProperty(window, "matchMedia", {
  value: (query: string) => ({
    matches: false,
    media: query,
    addEventListener: () => {},
    removeEventListener: () => {},
    addListener: () => {},
    removeListener: () => {},
  }),
});

class NoResize {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
}
vi.stubGlobal("ResizeObserver", NoResize);
vi.stubGlobal("EventSource", Feed);
window.scrollTo = () => {};
// Pages are fetched and compiled while the test waits; a busy machine takes its time.
configure({ asyncUtilTimeout: 30_000 });

afterEach(() => {
  cleanup();
  document.body.replaceChildren();
});
