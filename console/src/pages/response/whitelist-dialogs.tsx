// New entries of the whitelists; an alarm entry shows first what it would have kept quiet.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, Checkbox, Input, Modal, Select } from "antd";
import { useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../api";
import type { AlarmPattern } from "../../contract";
import { DryRunView, PatternEditor } from "../../parts/pattern";
import { useProblemText } from "../../parts/problem";
import { useText } from "../../parts/text";

const DAY_MS = 86_400_000;
const LIVES = [0, 1, 7, 30, 90] as const;
const REMARK_MAX = 1_000;

interface Props {
  onClose: () => void;
}

function useAdded(onClose: () => void) {
  const queries = useQueryClient();
  return async () => {
    await queries.invalidateQueries({
      predicate: ({ queryKey }) => /^\/(whitelist|policy)/.test(String(queryKey[0])),
    });
    onClose();
  };
}

export function AlarmEntryDialog({ onClose }: Props) {
  const { t } = useTranslation();
  const say = useProblemText();
  const text = useText();
  const id = useId();
  const added = useAdded(onClose);
  const { data: detections } = useQuery(read.detections());
  const [pattern, setPattern] = useState<AlarmPattern>({
    rule: "",
    field: "subject",
    judge: "equals",
    value: "",
  });
  const [days, setDays] = useState(0);
  const [remark, setRemark] = useState("");
  const [confirm, setConfirm] = useState(false);
  const ready = pattern.field.trim() !== "" && pattern.value.trim() !== "";
  const tried = useQuery({ ...read.dryRun(pattern), enabled: ready });
  const warned = (tried.data?.warnings.length ?? 0) > 0;
  const add = useMutation({
    mutationFn: () =>
      act.addAlarmEntry({
        pattern,
        remark: remark.trim(),
        confirm,
        expires_at: days === 0 ? null : new Date(Date.now() + days * DAY_MS).toISOString(),
      }),
    onSuccess: added,
  });
  const rule = detections?.items.find((it) => it.id === pattern.rule);
  const values = Object.fromEntries(["subject", ...(rule?.params ?? [])].map((it) => [it, ""]));
  return (
    <Modal
      open
      width={620}
      title={t("whitelist.add_alarm")}
      okText={t("whitelist.add")}
      cancelText={t("part.cancel")}
      okButtonProps={{
        disabled: !tried.isSuccess || (warned && !confirm),
        loading: add.isPending,
      }}
      onOk={() => add.mutate()}
      onCancel={onClose}
    >
      <div className="form">
        <label htmlFor={`${id}r`}>{t("finding.rule")}</label>
        <Select
          id={`${id}r`}
          showSearch={{ optionFilterProp: "label" }}
          value={pattern.rule ?? ""}
          onChange={(it) => setPattern({ ...pattern, rule: it })}
          options={[
            { value: "", label: t("whitelist.every_rule") },
            ...(detections?.items ?? []).map((it) => ({
              value: it.id,
              label: `${it.id} · ${text(it.title)}`,
            })),
          ]}
        />
        <span>{t("whitelist.what")}</span>
        <PatternEditor
          pattern={pattern}
          values={values}
          onChange={(it) => {
            setPattern({ ...it, value: it.value || pattern.value });
            setConfirm(false);
          }}
        />
        <DryRunView pattern={pattern} />
        {warned && (
          <Checkbox checked={confirm} onChange={(event) => setConfirm(event.target.checked)}>
            {t("whitelist.confirm")}
          </Checkbox>
        )}
        <label htmlFor={`${id}e`}>{t("whitelist.expires")}</label>
        <Select
          id={`${id}e`}
          value={days}
          onChange={setDays}
          options={LIVES.map((it) => ({
            value: it,
            label: it === 0 ? t("whitelist.never") : t("token.days", { count: it }),
          }))}
        />
        <label htmlFor={`${id}m`}>{t("handle.remark_optional")}</label>
        <Input
          id={`${id}m`}
          maxLength={REMARK_MAX}
          value={remark}
          onChange={(event) => setRemark(event.target.value)}
        />
        {add.error && <Alert type="error" showIcon title={say(add.error)} />}
      </div>
    </Modal>
  );
}

export function LoginEntryDialog({ onClose }: Props) {
  const { t } = useTranslation();
  const say = useProblemText();
  const id = useId();
  const added = useAdded(onClose);
  const [address, setAddress] = useState("");
  const [user, setUser] = useState("");
  const [remark, setRemark] = useState("");
  const add = useMutation({
    mutationFn: () =>
      act.addLoginEntry({
        address: address.trim() || null,
        user: user.trim() || null,
        host: null,
        remark: remark.trim(),
      }),
    onSuccess: added,
  });
  return (
    <Modal
      open
      title={t("whitelist.add_login")}
      okText={t("whitelist.add")}
      cancelText={t("part.cancel")}
      okButtonProps={{
        disabled: !address.trim() && !user.trim(),
        loading: add.isPending,
      }}
      onOk={() => add.mutate()}
      onCancel={onClose}
    >
      <div className="form">
        <p className="muted">{t("whitelist.login_about")}</p>
        <label htmlFor={`${id}a`}>{t("login.address")}</label>
        <Input
          id={`${id}a`}
          placeholder={t("policy.address_hint")}
          maxLength={64}
          value={address}
          onChange={(event) => setAddress(event.target.value)}
        />
        <label htmlFor={`${id}u`}>{t("login.user")}</label>
        <Input
          id={`${id}u`}
          maxLength={256}
          value={user}
          onChange={(event) => setUser(event.target.value)}
        />
        <label htmlFor={`${id}m`}>{t("handle.remark_optional")}</label>
        <Input
          id={`${id}m`}
          maxLength={REMARK_MAX}
          value={remark}
          onChange={(event) => setRemark(event.target.value)}
        />
        {add.error && <Alert type="error" showIcon title={say(add.error)} />}
      </div>
    </Modal>
  );
}
