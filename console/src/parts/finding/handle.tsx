// Handling: the plan is shown first, the toast afterwards takes it back.
import { type InfiniteData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { App, Button } from "antd";
import { createContext, type ReactNode, useCallback, useContext, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../api";
import type { FindingItem, HandleAction, JobFilter, Outcome, Page } from "../../contract";
import { useBecause } from "../because";
import { useProblemText } from "../problem";
import { HandleDialog } from "./handle-dialog";
import { JobDialog } from "./job-dialog";

export type Asked = Pick<FindingItem, "id" | "rule" | "sentence">[];

interface Handling {
  /** Opens the dialog for these findings, with `action` chosen. */
  ask: (findings: Asked, action?: HandleAction) => void;
  /** Opens the dialog for all that match. */
  askAll: (filter: Partial<JobFilter>) => void;
  undo: (ids: string[]) => void;
}

const Context = createContext<Handling>({ ask: () => {}, askAll: () => {}, undo: () => {} });

export const useHandling = (): Handling => useContext(Context);

/** Paths whose answers a decision changes. */
const TOUCHED =
  /^\/(findings|dashboard|hosts|policy|handling|whitelist|responses|isolated|blocked)/;
const UNDO_SECONDS = 8;

/**
 * Rows stay where they are and change their state; a list that no longer holds them is read
 * anew when it is next opened. Everything that counts is read anew at once.
 */
function useShowDecision() {
  const queries = useQueryClient();
  return useCallback(
    async (ids: string[], change: Pick<FindingItem, "status" | "handling">) => {
      const patch = (it: FindingItem) => (ids.includes(it.id) ? { ...it, ...change } : it);
      queries.setQueriesData<InfiniteData<Page<FindingItem>>>(
        { queryKey: ["/findings", "pages"] },
        (it) =>
          it && {
            ...it,
            pages: it.pages.map((page) => ({ ...page, items: page.items.map(patch) })),
          },
      );
      await queries.invalidateQueries({ queryKey: ["/findings", "pages"], refetchType: "none" });
      await queries.invalidateQueries({
        predicate: ({ queryKey }) => queryKey[1] !== "pages" && TOUCHED.test(String(queryKey[0])),
      });
    },
    [queries],
  );
}

export function HandlingProvider({ children }: { children: ReactNode }) {
  const { t } = useTranslation();
  const { notification, message } = App.useApp();
  const say = useProblemText();
  const because = useBecause();
  const show = useShowDecision();
  const { data: me } = useQuery(read.session());
  const [asked, setAsked] = useState<{ findings: Asked; action: HandleAction }>();
  const [all, setAll] = useState<Partial<JobFilter>>();

  const { mutate: undo } = useMutation({
    mutationFn: act.unhandle,
    onSuccess: ({ items }) => {
      void message.success(t("handle.undone", { count: items.length }));
      for (const { id, status } of items) void show([id], { status, handling: null });
    },
    onError: (error) => void message.error(say(error)),
  });

  const handling = useMemo<Handling>(
    () => ({
      ask: (findings, action = "mark_handled") => setAsked({ findings, action }),
      askAll: setAll,
      undo,
    }),
    [undo],
  );

  const onDone = (all: Outcome[], action: HandleAction) => {
    setAsked(undefined);
    const items = all.filter((it) => !it.refused);
    for (const it of all) if (it.refused) void message.warning(because(it.refused, it.why));
    if (items.length === 0) return;
    const ids = items.filter((it) => it.undo).map((it) => it.id);
    const key = `handled-${ids[0] ?? ""}`;
    notification.success({
      key,
      title: t("handle.done", { count: items.length }),
      duration: UNDO_SECONDS,
      actions: ids.length > 0 && (
        <Button
          size="small"
          onClick={() => {
            notification.destroy(key);
            undo(ids);
          }}
        >
          {t("handle.undo")}
        </Button>
      ),
    });
    const handling = { action, by: me?.user.name ?? "", at: new Date().toISOString(), remark: "" };
    void show(
      items.map((it) => it.id),
      { status: "handled", handling },
    );
  };

  return (
    <Context value={handling}>
      {children}
      {asked && (
        <HandleDialog
          findings={asked.findings}
          first={asked.action}
          onClose={() => setAsked(undefined)}
          onDone={onDone}
        />
      )}
      {all && <JobDialog filter={all} onClose={() => setAll(undefined)} />}
    </Context>
  );
}

/** Whether the signed-in person may decide at all. */
export function useMayHandle(): boolean {
  const { data } = useQuery(read.session());
  return data?.permissions.includes("handle") ?? false;
}
