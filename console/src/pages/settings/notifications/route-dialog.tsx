import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, Checkbox, Input, InputNumber, Modal, Segmented, Select } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../../api";
import type { Channel, NotifyRoute, RouteRule, Severity } from "../../../contract";
import { useProblemText } from "../../../parts/problem";
import { usePrefs } from "../../../prefs";
import { KINDS, SEVERITIES } from "../../../search";

interface Props {
  route: NotifyRoute | undefined;
  channels: Channel[];
  onClose: () => void;
}

type Change = (change: Partial<RouteRule>) => void;

export function RouteDialog({ route, channels, onClose }: Props) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const say = useProblemText();
  const queries = useQueryClient();
  const [name, setName] = useState(route?.name ?? "");
  const [enabled, setEnabled] = useState(route?.enabled ?? true);
  const [rule, setRule] = useState<RouteRule>(route?.rule ?? fresh(channels, language));
  const change: Change = (it) => setRule({ ...rule, ...it });
  const save = useMutation({
    mutationFn: () => {
      const body = { name: name.trim(), enabled, rule };
      return route ? act.setRoute(route.id, body) : act.createRoute(body);
    },
    onSuccess: onClose,
    onSettled: () => queries.invalidateQueries({ queryKey: read.routes().queryKey }),
  });
  const ready = name.trim() !== "" && rule.channels.length > 0;
  const mails = channels.some((it) => it.config.type === "email" && rule.channels.includes(it.id));
  return (
    <Modal
      open
      width={620}
      title={route ? t("notify.route.change") : t("notify.route.create")}
      okText={t("notify.save")}
      cancelText={t("part.cancel")}
      okButtonProps={{ disabled: !ready, loading: save.isPending }}
      onOk={() => save.mutate()}
      onCancel={onClose}
    >
      <div className="form">
        <label htmlFor="route-name">{t("notify.name")}</label>
        <Input
          id="route-name"
          autoComplete="off"
          maxLength={64}
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
        <label htmlFor="route-channels">{t("notify.view.channels")}</label>
        <Select
          id="route-channels"
          mode="multiple"
          value={rule.channels}
          onChange={(it) => change({ channels: it })}
          options={channels.map((it) => ({ value: it.id, label: it.name }))}
        />
        {mails && (
          <Tags
            id="route-recipients"
            label={t("notify.route.recipients")}
            hint={t("notify.route.recipients_hint")}
            value={rule.recipients}
            onChange={(recipients) => change({ recipients })}
          />
        )}
        <Filter rule={rule} change={change} />
        <Timing rule={rule} change={change} />
        <label htmlFor="route-language">{t("notify.route.language")}</label>
        <Segmented<RouteRule["language"]>
          id="route-language"
          value={rule.language}
          onChange={(it) => change({ language: it })}
          options={[
            { value: "en", label: "English" },
            { value: "zh", label: "简体中文" },
          ]}
        />
        <Checkbox checked={enabled} onChange={(event) => setEnabled(event.target.checked)}>
          {t("notify.enabled")}
        </Checkbox>
        {save.error && <Alert type="error" showIcon title={say(save.error)} />}
      </div>
    </Modal>
  );
}

function fresh(channels: Channel[], language: RouteRule["language"]): RouteRule {
  return {
    channels: channels.length === 1 ? channels.map((it) => it.id) : [],
    recipients: [],
    kinds: [],
    severity: "high",
    categories: [],
    groups: [],
    mode: "real_time",
    interval_s: 300,
    digest_at: "08:00",
    zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    quiet: null,
    language,
  };
}

function Filter({ rule, change }: { rule: RouteRule; change: Change }) {
  const { t } = useTranslation();
  const groups = useQuery(read.groups());
  return (
    <>
      <label htmlFor="route-severity">{t("notify.route.severity")}</label>
      <Select<Severity>
        id="route-severity"
        value={rule.severity}
        onChange={(severity) => change({ severity })}
        options={SEVERITIES.map((it) => ({ value: it, label: t(`severity.${it}`) }))}
      />
      <label htmlFor="route-kinds">{t("notify.route.kinds")}</label>
      <Select
        id="route-kinds"
        mode="multiple"
        placeholder={t("notify.route.all")}
        value={rule.kinds}
        onChange={(kinds) => change({ kinds })}
        options={KINDS.map((it) => ({ value: it, label: t(`kind.${it}`) }))}
      />
      <Tags
        id="route-categories"
        label={t("notify.route.categories")}
        hint={t("notify.route.all")}
        value={rule.categories}
        onChange={(categories) => change({ categories })}
      />
      <label htmlFor="route-groups">{t("notify.route.groups")}</label>
      <Select
        id="route-groups"
        mode="multiple"
        placeholder={t("notify.route.all")}
        value={rule.groups}
        onChange={(it) => change({ groups: it })}
        options={(groups.data?.items ?? []).map((it) => ({ value: it.id, label: it.name }))}
      />
    </>
  );
}

function Timing({ rule, change }: { rule: RouteRule; change: Change }) {
  const { t } = useTranslation();
  const { quiet } = rule;
  return (
    <>
      <label htmlFor="route-mode">{t("notify.route.when")}</label>
      <Segmented
        id="route-mode"
        value={rule.mode}
        onChange={(mode) => change({ mode })}
        options={(["real_time", "digest"] as const).map((it) => ({
          value: it,
          label: t(`notify.mode.${it}`),
        }))}
      />
      <p className="muted">{t(`notify.mode_about.${rule.mode}`)}</p>
      {rule.mode === "digest" ? (
        <Clock
          id="route-digest"
          label={t("notify.route.digest_at")}
          value={rule.digest_at}
          onChange={(digest_at) => change({ digest_at })}
        />
      ) : (
        <>
          <label htmlFor="route-interval">{t("notify.route.interval")}</label>
          <InputNumber
            id="route-interval"
            min={10}
            max={86_400}
            suffix={t("notify.route.seconds")}
            value={rule.interval_s}
            onChange={(it) => it !== null && change({ interval_s: it })}
          />
          <Checkbox
            checked={quiet !== null && quiet !== undefined}
            onChange={(event) =>
              change({
                quiet: event.target.checked
                  ? { from: "22:00", until: "07:00", except: "critical" }
                  : null,
              })
            }
          >
            {t("notify.route.quiet")}
          </Checkbox>
          {quiet && (
            <>
              <Clock
                id="route-from"
                label={t("notify.route.quiet_from")}
                value={quiet.from}
                onChange={(from) => change({ quiet: { ...quiet, from } })}
              />
              <Clock
                id="route-until"
                label={t("notify.route.quiet_until")}
                value={quiet.until}
                onChange={(until) => change({ quiet: { ...quiet, until } })}
              />
              <label htmlFor="route-except">{t("notify.route.quiet_except")}</label>
              <Select<Severity | null>
                id="route-except"
                allowClear
                placeholder={t("notify.route.quiet_all")}
                value={quiet.except ?? null}
                onChange={(it) => change({ quiet: { ...quiet, except: it ?? null } })}
                options={SEVERITIES.map((it) => ({ value: it, label: t(`severity.${it}`) }))}
              />
            </>
          )}
        </>
      )}
      <label htmlFor="route-zone">{t("notify.route.zone")}</label>
      <Input
        id="route-zone"
        maxLength={64}
        value={rule.zone}
        onChange={(event) => change({ zone: event.target.value })}
      />
    </>
  );
}

interface ClockProps {
  id: string;
  label: string;
  value: string;
  onChange: (value: string) => void;
}

function Clock({ id, label, value, onChange }: ClockProps) {
  return (
    <>
      <label htmlFor={id}>{label}</label>
      <Input id={id} type="time" value={value} onChange={(event) => onChange(event.target.value)} />
    </>
  );
}

interface TagsProps {
  id: string;
  label: string;
  hint: string;
  value: string[];
  onChange: (value: string[]) => void;
}

function Tags({ id, label, hint, value, onChange }: TagsProps) {
  return (
    <>
      <label htmlFor={id}>{label}</label>
      <Select
        id={id}
        mode="tags"
        open={false}
        suffixIcon={null}
        tokenSeparators={[",", " ", ";"]}
        placeholder={hint}
        value={value}
        onChange={onChange}
      />
    </>
  );
}
