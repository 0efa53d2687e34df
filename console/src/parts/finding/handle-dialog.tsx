// The decision about findings: what can be done, how, and what will then happen.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Alert, Checkbox, Modal, Radio } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../api";
import type { FindingItem, HandleAction, HandleOptions, Outcome } from "../../contract";
import { useProblemText } from "../problem";
import { Loaded } from "../states";
import { useText } from "../text";
import { Effects, Plan, Remark } from "./decision";
import type { Asked } from "./handle";
import { ActionOptions } from "./handle-options";

const ACTIONS = [
  "mark_handled",
  "ignore",
  "isolate_and_kill",
  "block_ip",
  "login_whitelist",
  "alarm_whitelist",
] as const satisfies HandleAction[];
/** What may be offered for a rule that this server does not know. */
const ALWAYS: HandleAction[] = ["mark_handled", "ignore"];

interface Props {
  findings: Asked;
  /** What is chosen at first. */
  first: HandleAction;
  onClose: () => void;
  onDone: (items: Outcome[], action: HandleAction) => void;
}

export function HandleDialog({ findings, first: chosen, onClose, onDone }: Props) {
  const { t } = useTranslation();
  const text = useText();
  const say = useProblemText();
  const [action, setAction] = useState<HandleAction>(chosen);
  const [options, setOptions] = useState<HandleOptions>({});
  const [remark, setRemark] = useState("");
  const ids = findings.map((it) => it.id);
  const { confirm = false, ...planned } = options;
  const plan = useQuery({
    ...read.plan(ids, action, planned),
    placeholderData: (before, query) => (query?.queryKey[2] === action ? before : undefined),
  });
  const handle = useMutation({
    mutationFn: () => act.handle(ids, action, remark.trim(), options),
    onSuccess: ({ items }) => onDone(items, action),
  });
  const actions = useActions(findings);
  const needsRemark = action === "mark_handled";
  const warned = action === "alarm_whitelist" && (plan.data?.warnings.length ?? 0) > 0;
  const ready =
    plan.isSuccess &&
    !plan.isPlaceholderData &&
    (!needsRemark || remark.trim() !== "") &&
    (!warned || confirm);
  const first = findings[0];

  return (
    <Modal
      open
      width={620}
      title={t("handle.title", { count: findings.length })}
      okText={t(`handle.do.${action}`)}
      cancelText={t("part.cancel")}
      okButtonProps={{
        disabled: !ready,
        loading: handle.isPending,
        danger: action === "isolate_and_kill",
      }}
      onOk={() => handle.mutate()}
      onCancel={onClose}
    >
      {first && findings.length === 1 && <p className="handle-what">{text(first.sentence)}</p>}
      <Radio.Group
        className="handle-actions"
        value={action}
        onChange={(event) => {
          setAction(event.target.value as HandleAction);
          setOptions({});
        }}
      >
        {actions.map((it) => (
          <Radio key={it} value={it}>
            <span>{t(`handle.action.${it}`)}</span>
            <span className="muted">{t(`handle.about.${it}`)}</span>
          </Radio>
        ))}
      </Radio.Group>
      <ActionOptions
        key={action}
        action={action}
        findings={findings}
        options={options}
        onChange={(change) => setOptions((it) => ({ ...it, confirm: false, ...change }))}
      />
      <Remark value={remark} required={needsRemark} onChange={setRemark} />
      <Plan>
        <Loaded query={plan} lines={2}>
          {(it) => (
            <>
              <Effects summary={it.summary} effects={it.effects} />
              {it.warnings.map((warning) => (
                <Alert key={warning.en} type="warning" showIcon title={text(warning)} />
              ))}
            </>
          )}
        </Loaded>
        {warned && (
          <Checkbox
            checked={confirm}
            onChange={(event) => setOptions((it) => ({ ...it, confirm: event.target.checked }))}
          >
            {t("whitelist.confirm")}
          </Checkbox>
        )}
      </Plan>
      {handle.error && <Alert type="error" showIcon title={say(handle.error)} />}
    </Modal>
  );
}

/** Only what every one of them allows. */
export function useActions(findings: Pick<FindingItem, "rule">[]): HandleAction[] {
  const { data: rules } = useQuery(read.rules());
  const may = (rule: string): HandleAction[] =>
    rules?.items.find(({ id }) => id === rule)?.actions ?? ALWAYS;
  return ACTIONS.filter((it) => findings.every(({ rule }) => may(rule).includes(it)));
}
