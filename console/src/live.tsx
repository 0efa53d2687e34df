// The live feed: one event stream for the whole console, which refreshes what it concerns.
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import {
  createContext,
  type ReactNode,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import type { LiveEvents } from "./contract";

export type LiveState = "connecting" | "live" | "lost";

type Listener<E extends keyof LiveEvents> = (event: LiveEvents[E]) => void;

interface Feed {
  state: LiveState;
  /** Returns what ends the subscription. */
  on: <E extends keyof LiveEvents>(event: E, listener: Listener<E>) => () => void;
}

const Context = createContext<Feed>({ state: "connecting", on: () => () => {} });

const EVENTS = ["finding", "host", "scan", "counts", "responses", "reset"] as const;
const RETRY_MS = 5_000;
const REFRESH_MS = 700;

/** Paths whose answers change with a new or handled finding. */
const COUNTED = /^\/(dashboard|findings\/counters)/;
/** Paths whose answers change with what agents did, or with a whitelist. */
const RESPONDED =
  /^\/(responses|isolated-files|blocked-addresses|whitelist|handling|findings\/finding_)/;
/** Paths whose answers a finished scan changes. */
const SCANNED = /^\/(asset|changes|hosts|scans)/;

export function LiveProvider({ children }: { children: ReactNode }) {
  const queries = useQueryClient();
  const [state, setState] = useState<LiveState>("connecting");
  const listeners = useRef(new Map<string, Set<Listener<never>>>());

  useEffect(() => {
    const refresh = throttle(() => refreshPaths(queries, COUNTED), REFRESH_MS);
    const close = connect({
      onState: (next, wasLost) => {
        setState(next);
        if (wasLost) void queries.invalidateQueries();
      },
      onEvent: (name, data) => {
        if (name === "finding" || name === "counts") refresh();
        if (name === "responses") refreshPaths(queries, RESPONDED);
        if (name === "reset") void queries.invalidateQueries();
        if (name === "scan" && (data as LiveEvents["scan"]).finished)
          refreshPaths(queries, SCANNED);
        if (name === "host") patchHosts(queries, data as LiveEvents["host"]);
        for (const tell of listeners.current.get(name) ?? []) tell(data as never);
      },
    });
    return () => {
      close();
      refresh.cancel();
    };
  }, [queries]);

  const feed = useMemo<Feed>(
    () => ({
      state,
      on: (event, listener) => {
        const set = listeners.current.get(event) ?? new Set();
        listeners.current.set(event, set);
        set.add(listener as Listener<never>);
        return () => set.delete(listener as Listener<never>);
      },
    }),
    [state],
  );
  return <Context value={feed}>{children}</Context>;
}

export const useLiveState = (): LiveState => useContext(Context).state;

/** Calls `listener` for every event of this name while the component is shown. */
export function useLive<E extends keyof LiveEvents>(event: E, listener: Listener<E>): void {
  const { on } = useContext(Context);
  const latest = useRef(listener);
  useEffect(() => {
    latest.current = listener;
  });
  useEffect(() => on(event, (it) => latest.current(it)), [on, event]);
}

interface Handlers {
  onState: (state: LiveState, wasLost: boolean) => void;
  onEvent: (name: (typeof EVENTS)[number], data: unknown) => void;
}

/** Keeps a stream open; a browser gives up after a refusal, so we dial again ourselves. */
function connect({ onState, onEvent }: Handlers): () => void {
  let source: EventSource | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let lost = false;
  const dial = () => {
    const stream = new EventSource("/api/v1/live");
    source = stream;
    stream.onopen = () => {
      onState("live", lost);
      lost = false;
    };
    stream.onerror = () => {
      lost = true;
      onState("lost", false);
      if (stream.readyState === EventSource.CLOSED) timer = setTimeout(dial, RETRY_MS);
    };
    for (const name of EVENTS) {
      stream.addEventListener(name, (message) => onEvent(name, JSON.parse(message.data)));
    }
  };
  dial();
  return () => {
    source?.close();
    clearTimeout(timer);
  };
}

function refreshPaths(queries: QueryClient, paths: RegExp): void {
  void queries.invalidateQueries({ predicate: ({ queryKey }) => paths.test(String(queryKey[0])) });
}

/** Puts the new state into the lists that are shown, without asking the server for them again. */
function patchHosts(queries: QueryClient, event: LiveEvents["host"]): void {
  const { id, ...change } = event;
  const patch = <T extends { id: string }>(host: T): T =>
    host.id === id ? { ...host, ...change } : host;
  queries.setQueriesData<{ id: string }>({ queryKey: [`/hosts/${id}`] }, (it) => it && patch(it));
  queries.setQueriesData<{ pages: { items: { id: string }[] }[] }>(
    { queryKey: ["/hosts"] },
    (it) =>
      it && {
        ...it,
        pages: it.pages.map((page) => ({ ...page, items: page.items.map(patch) })),
      },
  );
}

/** Runs at once, then at most once per `wait`, the last call never lost. */
function throttle(run: () => void, wait: number): { (): void; cancel: () => void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let again = false;
  const call = () => {
    if (timer !== undefined) {
      again = true;
      return;
    }
    run();
    timer = setTimeout(() => {
      timer = undefined;
      if (again) {
        again = false;
        call();
      }
    }, wait);
  };
  call.cancel = () => clearTimeout(timer);
  return call;
}
