// Entries of the whitelists, new or changed; one for alarms shows first what it would have kept
// quiet.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, Checkbox, Input, Modal, Select } from "antd";
import { useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../api";
import type { AlarmPattern, NamedRef, Whitelisted } from "../../contract";
import { formatExact } from "../../format";
import { HostPick } from "../../parts/host-pick";
import { DryRunView, PatternEditor } from "../../parts/pattern";
import { useProblemText } from "../../parts/problem";
import { useText } from "../../parts/text";
import { usePrefs } from "../../prefs";

const DAY_MS = 86_400_000;
const NEVER = 0;
/** The end stays what it is. */
const AS_IS = -1;
const LIVES = [NEVER, 1, 7, 30, 90] as const;
const REMARK_MAX = 1_000;
const OWNER_MAX = 64;

interface Props {
  /** The entry to change; absent: a new one. */
  entry?: Whitelisted | undefined;
  onClose: () => void;
}

function useSaved(onClose: () => void) {
  const queries = useQueryClient();
  return async () => {
    await queries.invalidateQueries({
      predicate: ({ queryKey }) => /^\/(whitelist|policy)/.test(String(queryKey[0])),
    });
    onClose();
  };
}

const after = (days: number): string => new Date(Date.now() + days * DAY_MS).toISOString();

const patternOf = (it: Whitelisted | undefined): AlarmPattern => ({
  rule: it?.rule ?? "",
  field: it?.field ?? "subject",
  judge: it?.judge ?? "equals",
  value: it?.value ?? "",
});

export function AlarmEntryDialog({ entry, onClose }: Props) {
  const { t } = useTranslation();
  const say = useProblemText();
  const text = useText();
  const id = useId();
  const saved = useSaved(onClose);
  const { data: detections } = useQuery(read.detections());
  const before = patternOf(entry);
  const [pattern, setPattern] = useState<AlarmPattern>(before);
  const [days, setDays] = useState(entry ? AS_IS : NEVER);
  const [remark, setRemark] = useState(entry?.remark ?? "");
  const [owner, setOwner] = useState(entry?.owner ?? "");
  const [confirm, setConfirm] = useState(false);
  const ready = pattern.field.trim() !== "" && pattern.value.trim() !== "";
  const changed = !entry || JSON.stringify(pattern) !== JSON.stringify(before);
  const tried = useQuery({ ...read.dryRun(pattern), enabled: ready });
  const warned = changed && (tried.data?.warnings.length ?? 0) > 0;
  const save = useMutation({
    mutationFn: (): Promise<unknown> =>
      entry
        ? act.changeEntry(entry.id, {
            ...(changed && { pattern }),
            ...(days > NEVER && { expires_at: after(days) }),
            never_expires: days === NEVER,
            remark: remark.trim(),
            owner: owner.trim() || entry.owner,
            confirm,
          })
        : act.addAlarmEntry({
            pattern,
            remark: remark.trim(),
            confirm,
            expires_at: days === NEVER ? null : after(days),
          }),
    onSuccess: saved,
  });
  const rule = detections?.items.find((it) => it.id === pattern.rule);
  const named = new Set(["subject", ...(rule?.params ?? []), pattern.field]);
  const values = Object.fromEntries([...named].map((it) => [it, ""]));
  return (
    <Modal
      open
      width={620}
      title={t(entry ? "whitelist.change_alarm" : "whitelist.add_alarm")}
      okText={t(entry ? "part.save" : "whitelist.add")}
      cancelText={t("part.cancel")}
      okButtonProps={{
        disabled: !tried.isSuccess || (warned && !confirm),
        loading: save.isPending,
      }}
      onOk={() => save.mutate()}
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
        <DryRunView pattern={pattern} withWarnings />
        {warned && (
          <Checkbox checked={confirm} onChange={(event) => setConfirm(event.target.checked)}>
            {t("whitelist.confirm")}
          </Checkbox>
        )}
        {entry && changed && <p className="muted">{t("whitelist.begins_anew")}</p>}
        <label htmlFor={`${id}e`}>{t("whitelist.expires")}</label>
        <Ends id={`${id}e`} entry={entry} days={days} onChange={setDays} />
        <Remarks
          id={id}
          remark={remark}
          onRemark={setRemark}
          {...(entry && { owner, onOwner: setOwner })}
        />
        {save.error && <Alert type="error" showIcon title={say(save.error)} />}
      </div>
    </Modal>
  );
}

interface EndsProps {
  id: string;
  entry: Whitelisted | undefined;
  days: number;
  onChange: (days: number) => void;
}

function Ends({ id, entry, days, onChange }: EndsProps) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const now = entry?.expires_at
    ? formatExact(Date.parse(entry.expires_at), language)
    : t("whitelist.never");
  return (
    <Select
      id={id}
      value={days}
      onChange={onChange}
      options={[
        ...(entry ? [{ value: AS_IS, label: t("whitelist.ends_as_is", { when: now }) }] : []),
        ...LIVES.map((it) => ({
          value: it,
          label: it === NEVER ? t("whitelist.never") : t("token.days", { count: it }),
        })),
      ]}
    />
  );
}

interface RemarksProps {
  id: string;
  remark: string;
  onRemark: (text: string) => void;
  owner?: string;
  onOwner?: (text: string) => void;
}

/** Why the entry is there, and who answers for it. */
function Remarks({ id, remark, onRemark, owner, onOwner }: RemarksProps) {
  const { t } = useTranslation();
  return (
    <>
      <label htmlFor={`${id}m`}>{t("handle.remark_optional")}</label>
      <Input
        id={`${id}m`}
        maxLength={REMARK_MAX}
        value={remark}
        onChange={(event) => onRemark(event.target.value)}
      />
      {onOwner && (
        <>
          <label htmlFor={`${id}o`}>{t("whitelist.owner")}</label>
          <Input
            id={`${id}o`}
            maxLength={OWNER_MAX}
            value={owner ?? ""}
            onChange={(event) => onOwner(event.target.value)}
          />
        </>
      )}
    </>
  );
}

export function LoginEntryDialog({ entry, onClose }: Props) {
  const { t } = useTranslation();
  const say = useProblemText();
  const id = useId();
  const saved = useSaved(onClose);
  const [address, setAddress] = useState(entry?.address ?? "");
  const [user, setUser] = useState(entry?.user ?? "");
  const [host, setHost] = useState<NamedRef | null>(entry?.host ?? null);
  const [remark, setRemark] = useState(entry?.remark ?? "");
  const [owner, setOwner] = useState(entry?.owner ?? "");
  const login = {
    address: address.trim() || null,
    user: user.trim() || null,
    host: host?.id ?? null,
  };
  const changed =
    entry &&
    (login.address !== entry.address ||
      login.user !== entry.user ||
      login.host !== (entry.host?.id ?? null));
  const save = useMutation({
    mutationFn: (): Promise<unknown> =>
      entry
        ? act.changeEntry(entry.id, {
            ...(changed && { login }),
            remark: remark.trim(),
            owner: owner.trim() || entry.owner,
          })
        : act.addLoginEntry({ ...login, remark: remark.trim() }),
    onSuccess: saved,
  });
  return (
    <Modal
      open
      title={t(entry ? "whitelist.change_login" : "whitelist.add_login")}
      okText={t(entry ? "part.save" : "whitelist.add")}
      cancelText={t("part.cancel")}
      okButtonProps={{
        disabled: !login.address && !login.user,
        loading: save.isPending,
      }}
      onOk={() => save.mutate()}
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
        <label htmlFor={`${id}h`}>{t("finding.host")}</label>
        <HostPick id={`${id}h`} value={host} none={t("whitelist.every_host")} onPick={setHost} />
        {changed && <p className="muted">{t("whitelist.begins_anew")}</p>}
        <Remarks
          id={id}
          remark={remark}
          onRemark={setRemark}
          {...(entry && { owner, onOwner: setOwner })}
        />
        {save.error && <Alert type="error" showIcon title={say(save.error)} />}
      </div>
    </Modal>
  );
}
