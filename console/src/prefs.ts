// What a person chose on this browser: language, scheme, rail and table columns.
import { useSyncExternalStore } from "react";
import type { Scheme } from "./theme";

export type Language = "en" | "zh";

interface Prefs {
  language: Language;
  scheme: Scheme;
  railNarrow: boolean;
  /** Table name to the names of its hidden columns. */
  hidden: Record<string, string[]>;
  /** Filters of the events, by the name they were given. */
  views: Record<string, Record<string, string>>;
}

const KEY = "garrison";

function initial(): Prefs {
  const system: Prefs = {
    language: navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en",
    scheme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light",
    railNarrow: false,
    hidden: {},
    views: {},
  };
  try {
    return { ...system, ...(JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Prefs>) };
  } catch {
    // Storage may be switched off or hold another program's text; the system's choice stands.
    return system;
  }
}

let prefs = initial();
const listeners = new Set<() => void>();

const getPrefs = (): Prefs => prefs;

export function setPrefs(change: Partial<Prefs>): void {
  prefs = { ...prefs, ...change };
  try {
    localStorage.setItem(KEY, JSON.stringify(prefs));
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  for (const tell of listeners) tell();
}

function subscribe(tell: () => void): () => void {
  listeners.add(tell);
  return () => listeners.delete(tell);
}

export const usePrefs = (): Prefs => useSyncExternalStore(subscribe, getPrefs);
