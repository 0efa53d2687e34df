// What the lists of responses share: who did it, what is under way, and asking agents.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { App } from "antd";
import { useTranslation } from "react-i18next";
import type { AskedItem, BlockedAddress } from "../../contract";
import { useBecause } from "../because";
import { useProblemText } from "../problem";
import { CancelResponse, RESPONDED } from "./cancel";

interface Asked {
  items: AskedItem[];
}

/** Asks agents for something; what was refused is told one by one. */
export function useAskAgents<V>(ask: (value: V) => Promise<Asked>) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const say = useProblemText();
  const because = useBecause();
  const queries = useQueryClient();
  return useMutation({
    mutationFn: ask,
    onSuccess: ({ items }) => {
      const begun = items.filter((it) => it.refused === null).length;
      if (begun > 0) void message.success(t("respond.asked", { count: begun }));
      for (const it of items) if (it.refused) void message.warning(because(it.refused, it.why));
    },
    onError: (error) => void message.error(say(error)),
    onSettled: () =>
      queries.invalidateQueries({
        predicate: ({ queryKey }) => RESPONDED.test(String(queryKey[0])),
      }),
  });
}

interface Done {
  automatic: boolean;
  by: string;
  finding: string | null;
  reason: string;
}

/** Who did it and why: a person, or the agent by itself; a door to the alarm. */
export function Why({ it }: { it: Done }) {
  const { t } = useTranslation();
  // What only repeats who it was says nothing.
  const reason = ["task", "automatic"].includes(it.reason) ? "" : it.reason;
  const who = it.automatic || !it.by ? t("respond.by_itself") : it.by;
  return (
    <span className="cut" title={reason || undefined}>
      {it.finding ? (
        <Link to="/events/$finding" params={{ finding: it.finding }}>
          {who}
        </Link>
      ) : (
        who
      )}
      {reason && <span className="muted"> · {reason}</span>}
    </span>
  );
}

/** The state, or what is under way instead. */
export function StateMark(props: {
  state: string;
  name: string;
  pending: BlockedAddress["pending"];
}) {
  const { t } = useTranslation();
  if (props.pending)
    return (
      <span className="op" data-op="changed">
        {t(`respond.pending.${props.pending.action}`)}
        <CancelResponse id={props.pending.response} state={props.pending.state} />
      </span>
    );
  return (
    <span className="state-mark" data-state={props.state}>
      {props.name}
    </span>
  );
}
