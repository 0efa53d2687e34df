import { useSyncExternalStore } from "react";
import { formatAgo, formatClock, formatExact, formatMinute } from "../format";
import { usePrefs } from "../prefs";

const TICK_MS = 30_000;
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

/** One clock for all relative times; it stops when none is shown. */
function subscribe(tell: () => void): () => void {
  if (listeners.size === 0) {
    now = Date.now();
    timer = setInterval(() => {
      now = Date.now();
      for (const it of listeners) it();
    }, TICK_MS);
  }
  listeners.add(tell);
  return () => {
    listeners.delete(tell);
    if (listeners.size === 0) clearInterval(timer);
  };
}

export const useNow = (): number => useSyncExternalStore(subscribe, () => now);

/** Relative time; the exact zoned time on hover, by the browser: a hundred rows have hundreds of these. */
export function When({ at }: { at: string | null | undefined }) {
  const { language } = usePrefs();
  const current = useNow();
  const moment = at ? Date.parse(at) : Number.NaN;
  if (!at || Number.isNaN(moment)) return <span className="muted">—</span>;
  return (
    <time dateTime={at} title={formatExact(moment, language)}>
      {formatAgo(Math.min(moment, current), current, language)}
    </time>
  );
}

/** The time of day to the second, where the order of things matters. */
export function Clock({ at }: { at: string }) {
  const { language } = usePrefs();
  const moment = Date.parse(at);
  return (
    <time dateTime={at} title={formatExact(moment, language)}>
      {formatClock(moment, language)}
    </time>
  );
}

/** An exact point in time, for what lies ahead. */
export function Moment({ at }: { at: string | null | undefined }) {
  const { language } = usePrefs();
  if (!at) return <span className="muted">—</span>;
  const moment = Date.parse(at);
  return (
    <time dateTime={at} title={formatExact(moment, language)}>
      {formatMinute(moment, language)}
    </time>
  );
}
