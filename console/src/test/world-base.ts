// What every part of the made-up fleet is written with.
import type { Text } from "../contract";

const NOW = Date.now();
export const ago = (seconds: number): string => new Date(NOW - seconds * 1000).toISOString();
export const id = (prefix: string, number: number): string =>
  `${prefix}_${number.toString(32).padStart(13, "0")}`;
export const both = (en: string, zh: string): Text => ({ en, zh });

export const at = <T>(list: readonly T[], index: number): T => {
  const found = list[index % list.length];
  if (found === undefined) throw new Error("empty list");
  return found;
};
