// Handling: the plan is shown first, the toast afterwards takes it back.
import { type InfiniteData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, App, Button, Form, Input, Modal, Radio } from "antd";
import { createContext, type ReactNode, useCallback, useContext, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../api";
import type { FindingItem, HandleAction, Outcome, Page } from "../../contract";
import { useProblemText } from "../problem";
import { Loaded } from "../states";
import { useText } from "../text";

type Ask = (findings: Pick<FindingItem, "id" | "rule" | "sentence">[]) => void;

interface Handling {
  /** Opens the dialog for these findings. */
  ask: Ask;
  undo: (ids: string[]) => void;
}

const Context = createContext<Handling>({ ask: () => {}, undo: () => {} });

export const useHandling = (): Handling => useContext(Context);

/** Paths whose answers a decision changes. */
const TOUCHED = /^\/(findings|dashboard|hosts|policy)/;
const UNDO_SECONDS = 8;
const ACTIONS = ["mark_handled", "ignore", "login_whitelist"] as const satisfies HandleAction[];

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
  const show = useShowDecision();
  const { data: me } = useQuery(read.session());
  const [asked, setAsked] = useState<Parameters<Ask>[0]>();

  const { mutate: undo } = useMutation({
    mutationFn: act.unhandle,
    onSuccess: ({ items }) => {
      void message.success(t("handle.undone", { count: items.length }));
      for (const { id, status } of items) void show([id], { status, handling: null });
    },
    onError: (error) => void message.error(say(error)),
  });

  const handling = useMemo<Handling>(
    () => ({ ask: (findings) => setAsked(findings), undo }),
    [undo],
  );

  const onDone: DialogProps["onDone"] = (all, action) => {
    setAsked(undefined);
    const items = all.filter((it) => !it.refused);
    for (const it of all) if (it.refused) void message.warning(it.refused);
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
        <HandleDialog findings={asked} onClose={() => setAsked(undefined)} onDone={onDone} />
      )}
    </Context>
  );
}

interface DialogProps {
  findings: Parameters<Ask>[0];
  onClose: () => void;
  onDone: (items: Outcome[], action: HandleAction) => void;
}

function HandleDialog({ findings, onClose, onDone }: DialogProps) {
  const { t } = useTranslation();
  const text = useText();
  const say = useProblemText();
  const [action, setAction] = useState<HandleAction>("mark_handled");
  const [remark, setRemark] = useState("");
  const ids = findings.map((it) => it.id);
  const handle = useMutation({
    mutationFn: () => act.handle(ids, action, remark.trim()),
    onSuccess: ({ items }) => onDone(items, action),
  });
  const { data: rules } = useQuery(read.rules());
  // Only what every one of them allows; the remark of a person always is.
  const actions = ACTIONS.filter((it) =>
    findings.every(
      ({ rule }) =>
        rules?.items.find(({ id }) => id === rule)?.actions.includes(it) ??
        it !== "login_whitelist",
    ),
  );
  const needsRemark = action === "mark_handled";
  const first = findings[0];

  return (
    <Modal
      open
      width={560}
      title={t("handle.title", { count: findings.length })}
      okText={t(`handle.do.${action}`)}
      cancelText={t("part.cancel")}
      okButtonProps={{ disabled: needsRemark && remark.trim() === "", loading: handle.isPending }}
      onOk={() => handle.mutate()}
      onCancel={onClose}
    >
      {first && findings.length === 1 && <p className="handle-what">{text(first.sentence)}</p>}
      <Radio.Group
        className="handle-actions"
        value={action}
        onChange={(event) => setAction(event.target.value as HandleAction)}
      >
        {actions.map((it) => (
          <Radio key={it} value={it}>
            <span>{t(`handle.action.${it}`)}</span>
            <span className="muted">{t(`handle.about.${it}`)}</span>
          </Radio>
        ))}
      </Radio.Group>
      <Form layout="vertical">
        <Form.Item
          label={needsRemark ? t("handle.remark") : t("handle.remark_optional")}
          htmlFor="handle-remark"
        >
          <Input.TextArea
            id="handle-remark"
            rows={2}
            maxLength={500}
            value={remark}
            placeholder={t("handle.remark_hint")}
            onChange={(event) => setRemark(event.target.value)}
          />
        </Form.Item>
      </Form>
      <Plan ids={ids} action={action} />
      {handle.error && <Alert type="error" showIcon title={say(handle.error)} />}
    </Modal>
  );
}

/** What the server says will happen. */
function Plan({ ids, action }: { ids: string[]; action: HandleAction }) {
  const { t } = useTranslation();
  const text = useText();
  const plan = useQuery(read.plan(ids, action));
  return (
    <section className="plan" aria-label={t("handle.plan")} aria-live="polite">
      <h3>{t("handle.plan")}</h3>
      <Loaded query={plan} lines={2}>
        {(it) => (
          <>
            <p>{text(it.summary)}</p>
            {it.effects.length > 0 && (
              <ul>
                {it.effects.map((effect) => (
                  <li key={effect.en}>{text(effect)}</li>
                ))}
              </ul>
            )}
          </>
        )}
      </Loaded>
    </section>
  );
}

/** Whether the signed-in person may decide at all. */
export function useMayHandle(): boolean {
  const { data } = useQuery(read.session());
  return data?.permissions.includes("handle") ?? false;
}
