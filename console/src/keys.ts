// Keyboard: single keys and `g d`-like pairs. The part shown last answers first.
import { useEffect, useRef } from "react";

type Handlers = Record<string, () => void>;

const layers: { current: Handlers }[] = [];
const PAIR_MS = 1_200;
let first: { key: string; at: number } | undefined;

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || target.matches("input, textarea, select, [role=combobox]"))
  );
}

/** Enter and Space belong to a focused button or link, not to the list behind it. */
const isPressable = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  target.matches("a, button, summary, [role=tab], [role=menuitem]");

function onKeyDown(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (event.key === "Enter" && isPressable(event.target)) return;
  if (document.querySelector(".ant-modal-wrap:not([style*='display: none'])")) return;
  const pair =
    first && event.timeStamp - first.at < PAIR_MS ? `${first.key} ${event.key}` : undefined;
  first = event.key === "g" ? { key: "g", at: event.timeStamp } : undefined;
  for (const layer of layers.toReversed()) {
    const handler = (pair && layer.current[pair]) || layer.current[event.key];
    if (handler) {
      event.preventDefault();
      handler();
      return;
    }
  }
}

export function useKeys(handlers: Handlers): void {
  const layer = useRef(handlers);
  useEffect(() => {
    layer.current = handlers;
  });
  useEffect(() => {
    if (layers.length === 0) document.addEventListener("keydown", onKeyDown);
    layers.push(layer);
    return () => {
      layers.splice(layers.indexOf(layer), 1);
      if (layers.length === 0) document.removeEventListener("keydown", onKeyDown);
    };
  }, []);
}
