// Numbers, sizes, spans and times as the reader's language writes them.
import type { Language } from "./prefs";

const LOCALE = { en: "en-GB", zh: "zh-CN" } as const;

/** Making a formatter costs a hundred times more than using it, and a list uses hundreds. */
function perLanguage<F>(make: (locale: string) => F): (language: Language) => F {
  const made = new Map<Language, F>();
  return (language) => {
    const known = made.get(language) ?? make(LOCALE[language]);
    made.set(language, known);
    return known;
  };
}

const whole = perLanguage((it) => new Intl.NumberFormat(it));
const tenths = perLanguage((it) => new Intl.NumberFormat(it, { maximumFractionDigits: 1 }));
const percent = perLanguage(
  (it) => new Intl.NumberFormat(it, { style: "percent", maximumFractionDigits: 1 }),
);
const relative = perLanguage(
  (it) => new Intl.RelativeTimeFormat(it, { numeric: "auto", style: "short" }),
);
const exact = perLanguage(
  (it) => new Intl.DateTimeFormat(it, { dateStyle: "medium", timeStyle: "long" }),
);
const minute = perLanguage(
  (it) => new Intl.DateTimeFormat(it, { dateStyle: "medium", timeStyle: "short" }),
);
const clock = perLanguage((it) => new Intl.DateTimeFormat(it, { timeStyle: "medium" }));
const date = perLanguage((it) => new Intl.DateTimeFormat(it, { dateStyle: "medium" }));
const dayOfMonth = perLanguage(
  (it) => new Intl.DateTimeFormat(it, { month: "short", day: "numeric", timeZone: "UTC" }),
);

export const formatNumber = (value: number, language: Language): string =>
  whole(language).format(value);

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

export function formatBytes(value: number, language: Language): string {
  const power =
    value < 1024 ? 0 : Math.min(Math.floor(Math.log2(value) / 10), BYTE_UNITS.length - 1);
  const number = (power === 0 ? whole : tenths)(language);
  return `${number.format(value / 1024 ** power)} ${BYTE_UNITS[power] ?? ""}`;
}

export const formatPercent = (ratio: number, language: Language): string =>
  percent(language).format(ratio);

const STEPS: [Intl.RelativeTimeFormatUnit & Intl.NumberFormatOptions["unit"], number][] = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** `3 min. ago`, `in 3 min.`; under a minute it says "now" so that it need not tick. */
export function formatAgo(at: number, now: number, language: Language): string {
  const seconds = (at - now) / 1000;
  const words = relative(language);
  for (const [unit, size] of STEPS) {
    if (Math.abs(seconds) >= size) return words.format(Math.trunc(seconds / size), unit);
  }
  return words.format(0, "second");
}

/** `6 hr`, `1 day 2 hr`: at most two units, what is less is left out. */
export function formatSpan(seconds: number, language: Language): string {
  const parts: string[] = [];
  let left = Math.round(seconds);
  for (const [unit, size] of [...STEPS.slice(2), ["second", 1] as const]) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0 && parts.length < 2)
      parts.push(
        new Intl.NumberFormat(LOCALE[language], {
          style: "unit",
          unit,
          unitDisplay: "short",
        }).format(count),
      );
  }
  return parts.join(" ") || whole(language).format(0);
}

export const formatExact = (at: number, language: Language): string => exact(language).format(at);

export const formatMinute = (at: number, language: Language): string => minute(language).format(at);

export const formatDay = (day: string, language: Language): string =>
  dayOfMonth(language).format(Date.parse(day));

/** The day of the reader's own clock. */
export const formatDate = (at: number, language: Language): string => date(language).format(at);

export const formatClock = (at: number, language: Language): string => clock(language).format(at);

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
