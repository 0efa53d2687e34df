// How an action is to be carried out, where there is something to choose.
import { useQuery } from "@tanstack/react-query";
import { Checkbox, Select } from "antd";
import { useId } from "react";
import { useTranslation } from "react-i18next";
import { read } from "../../api";
import type { AlarmPattern, HandleAction, HandleOptions } from "../../contract";
import { plain } from "../asset-value";
import { DryRunView, PatternEditor } from "../pattern";
import { SpanInput } from "../span-input";
import type { Asked } from "./handle";

const DAY_MS = 86_400_000;
/** Days after which an entry ends; 0: never. */
const LIVES = [0, 1, 7, 30, 90] as const;

interface Props {
  action: HandleAction;
  findings: Asked;
  options: HandleOptions;
  onChange: (change: HandleOptions) => void;
}

export function ActionOptions(props: Props) {
  switch (props.action) {
    case "block_ip":
      return <BlockOptions {...props} />;
    case "login_whitelist":
      return <LoginOptions {...props} />;
    case "alarm_whitelist":
      return <AlarmOptions {...props} />;
    case "mark_handled":
    case "ignore":
    case "isolate_and_kill":
      return null;
  }
}

function BlockOptions({ options, onChange }: Props) {
  const { t } = useTranslation();
  const { data } = useQuery(read.policy());
  if (!data) return null;
  const { block_s, share_blocks } = data.policy.response;
  return (
    <div className="handle-options">
      <span>{t("response.block_for")}</span>
      <SpanInput
        label={t("response.block_for")}
        min={60}
        max={2_592_000}
        seconds={options.block_s ?? block_s}
        onChange={(it) => onChange({ block_s: it })}
      />
      <Checkbox
        checked={options.share ?? share_blocks}
        onChange={(event) => onChange({ share: event.target.checked })}
      >
        {t("handle.share")}
      </Checkbox>
    </div>
  );
}

function LoginOptions({ options, onChange }: Props) {
  const { t } = useTranslation();
  return (
    <div className="handle-options">
      <Checkbox
        checked={options.every_host ?? false}
        onChange={(event) => onChange({ every_host: event.target.checked })}
      >
        {t("handle.every_host")}
      </Checkbox>
    </div>
  );
}

/** One alarm: the person chooses what has to be the same. Many: the very subject of each. */
function AlarmOptions({ findings, options, onChange }: Props) {
  const { t } = useTranslation();
  const id = useId();
  const first = findings[0];
  const { data } = useQuery({
    ...read.finding(first?.id ?? ""),
    enabled: findings.length === 1,
  });
  const values = data && { subject: data.subject, ...strings(data.params) };
  const pattern: AlarmPattern | undefined = values && {
    rule: data.rule,
    field: "subject",
    judge: "equals",
    value: data.subject,
    ...options.pattern,
  };
  return (
    <div className="handle-options handle-pattern">
      {values && pattern ? (
        <>
          <PatternEditor
            pattern={pattern}
            values={values}
            onChange={(it) => onChange({ pattern: it })}
          />
          <DryRunView pattern={pattern} withWarnings={false} />
        </>
      ) : (
        <span className="muted">{t("handle.each_subject")}</span>
      )}
      <div className="inline-form">
        <label htmlFor={id}>{t("whitelist.expires")}</label>
        <Select
          id={id}
          style={{ width: 130 }}
          defaultValue={0}
          options={LIVES.map((it) => ({
            value: it,
            label: it === 0 ? t("whitelist.never") : t("token.days", { count: it }),
          }))}
          onChange={(days: number) =>
            onChange({
              expires_at: days === 0 ? null : new Date(Date.now() + days * DAY_MS).toISOString(),
            })
          }
        />
      </div>
    </div>
  );
}

const strings = (params: Record<string, unknown>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(params)
      .filter(([, value]) => typeof value === "string" || typeof value === "number")
      .map(([name, value]) => [name, plain(value)]),
  );
