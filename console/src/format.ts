// Numbers, sizes, spans and times as the reader's language writes them.
import type { Language } from "./prefs";

const LOCALE = { en: "en-GB", zh: "zh-CN" } as const;

export const formatNumber = (value: number, language: Language): string =>
  new Intl.NumberFormat(LOCALE[language]).format(value);

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

export function formatBytes(value: number, language: Language): string {
  const power =
    value < 1024 ? 0 : Math.min(Math.floor(Math.log2(value) / 10), BYTE_UNITS.length - 1);
  const digits = power === 0 ? 0 : 1;
  const number = new Intl.NumberFormat(LOCALE[language], { maximumFractionDigits: digits });
  return `${number.format(value / 1024 ** power)} ${BYTE_UNITS[power] ?? ""}`;
}

export const formatPercent = (ratio: number, language: Language): string =>
  new Intl.NumberFormat(LOCALE[language], { style: "percent", maximumFractionDigits: 1 }).format(
    ratio,
  );

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** `3 min. ago`; under a minute it says "now" so that it need not tick. */
export function formatAgo(at: number, now: number, language: Language): string {
  const seconds = (at - now) / 1000;
  const words = new Intl.RelativeTimeFormat(LOCALE[language], { numeric: "auto", style: "short" });
  for (const [unit, size] of STEPS) {
    if (Math.abs(seconds) >= size) return words.format(Math.trunc(seconds / size), unit);
  }
  return words.format(0, "second");
}

export const formatExact = (at: number, language: Language): string =>
  new Intl.DateTimeFormat(LOCALE[language], {
    dateStyle: "medium",
    timeStyle: "long",
  }).format(at);

export const formatMinute = (at: number, language: Language): string =>
  new Intl.DateTimeFormat(LOCALE[language], { dateStyle: "medium", timeStyle: "short" }).format(at);

export const formatDay = (day: string, language: Language): string =>
  new Intl.DateTimeFormat(LOCALE[language], {
    month: "short",
    day: "numeric",
    timeZone: "UTC",
  }).format(Date.parse(day));

export const formatClock = (at: number, language: Language): string =>
  new Intl.DateTimeFormat(LOCALE[language], { timeStyle: "medium" }).format(at);

/** A country's name from its ISO code, or the code where the platform knows none. */
export function formatCountry(code: string, language: Language): string {
  if (!/^[A-Za-z]{2}$/.test(code)) return code;
  return new Intl.DisplayNames(LOCALE[language], { type: "region" }).of(code.toUpperCase()) ?? code;
}

/** Cuts the middle: the start says where, the end says what. */
export function cutMiddle(text: string, max: number): string {
  if (text.length <= max) return text;
  const tail = Math.ceil((max - 1) * 0.6);
  return `${text.slice(0, max - 1 - tail)}…${text.slice(text.length - tail)}`;
}
