// What agents were asked to do about an alarm, or did by themselves, step by step.
import { useTranslation } from "react-i18next";
import type { AgentResponse } from "../../contract";
import { useBecause } from "../because";
import { useText } from "../text";
import { When } from "../when";
import { CancelResponse } from "./cancel";

export function ResponseList({ responses }: { responses: AgentResponse[] }) {
  const { t } = useTranslation();
  const say = useText();
  const because = useBecause();
  return (
    <ol className="responses">
      {responses.map((it) => (
        <li key={it.id}>
          <div className="responses-head">
            <b>{t(`respond.action.${it.action}`)}</b>
            <span className="state-mark" data-state={it.state}>
              {t(`respond.state.${it.state}`)}
            </span>
            <span className="muted">
              {it.by || t("respond.by_itself")} · <When at={it.finished_at ?? it.created_at} />
            </span>
            <CancelResponse id={it.id} state={it.state} />
          </div>
          {it.subject && <span className="mono">{it.subject}</span>}
          {it.reason && !it.steps.some((step) => step.reason === it.reason) && (
            <span className="muted">{because(it.reason, it.why)}</span>
          )}
          <ul>
            {it.steps.map((step) => (
              <li key={step.sentence.en} data-done={step.done}>
                {say(step.sentence)}
                {step.reason && <span className="muted"> · {because(step.reason, step.why)}</span>}
              </li>
            ))}
          </ul>
        </li>
      ))}
    </ol>
  );
}
