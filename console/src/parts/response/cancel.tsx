import { useMutation, useQueryClient } from "@tanstack/react-query";
import { App, Button } from "antd";
import { useTranslation } from "react-i18next";
import { act } from "../../api";
import type { AgentResponse } from "../../contract";
import { useMay } from "../permission";
import { useProblemText } from "../problem";

/** Paths that show what agents did. */
export const RESPONDED =
  /^\/(responses|isolated-files|blocked-addresses|whitelist|findings|handling)/;

interface Props {
  id: string;
  state: AgentResponse["state"];
}

/** Takes back what the agent has not been told yet; what it was told can only be undone. */
export function CancelResponse({ id, state }: Props) {
  const { t } = useTranslation();
  const may = useMay();
  const { message } = App.useApp();
  const say = useProblemText();
  const queries = useQueryClient();
  const cancel = useMutation({
    mutationFn: () => act.cancelResponse(id),
    onSuccess: () => void message.success(t("respond.cancelled")),
    onError: (error) => void message.error(say(error)),
    onSettled: () =>
      queries.invalidateQueries({
        predicate: ({ queryKey }) => RESPONDED.test(String(queryKey[0])),
      }),
  });
  if (state !== "waiting" || !may("handle")) return null;
  return (
    <Button size="small" type="link" loading={cancel.isPending} onClick={() => cancel.mutate()}>
      {t("respond.cancel")}
    </Button>
  );
}
