import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Alert, Checkbox, Input, InputNumber, Modal, Select } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../../api";
import type { Channel, ChannelConfig } from "../../../contract";
import { useProblemText } from "../../../parts/problem";
import { blank, type ChannelType, type SecretName, secretsOf, TYPES } from "./fields";

interface Props {
  channel: Channel | undefined;
  onClose: () => void;
}

type Secrets = Partial<Record<SecretName, string>>;

export function ChannelDialog({ channel, onClose }: Props) {
  const { t } = useTranslation();
  const say = useProblemText();
  const queries = useQueryClient();
  const [name, setName] = useState(channel?.name ?? "");
  const [enabled, setEnabled] = useState(channel?.enabled ?? true);
  const [config, setConfig] = useState<ChannelConfig>(channel?.config ?? blank("email"));
  const [secrets, setSecrets] = useState<Secrets>({});
  const save = useMutation({
    mutationFn: () => {
      const body = { name: name.trim(), enabled, config, secrets };
      return channel ? act.setChannel(channel.id, body) : act.createChannel(body);
    },
    onSuccess: onClose,
    onSettled: () => queries.invalidateQueries({ queryKey: read.channels().queryKey }),
  });
  return (
    <Modal
      open
      title={channel ? t("notify.channel.change") : t("notify.channel.create")}
      okText={t("notify.save")}
      cancelText={t("part.cancel")}
      okButtonProps={{ disabled: name.trim() === "", loading: save.isPending }}
      onOk={() => save.mutate()}
      onCancel={onClose}
    >
      <div className="form">
        <label htmlFor="channel-name">{t("notify.name")}</label>
        <Input
          id="channel-name"
          autoComplete="off"
          maxLength={64}
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
        <label htmlFor="channel-type">{t("notify.type_title")}</label>
        <Select<ChannelType>
          id="channel-type"
          value={config.type}
          disabled={channel !== undefined}
          onChange={(type) => {
            setConfig(blank(type));
            setSecrets({});
          }}
          options={TYPES.map((it) => ({ value: it, label: t(`notify.type.${it}`) }))}
        />
        <p className="muted">{t(`notify.type_about.${config.type}`)}</p>
        <ConfigFields config={config} onChange={setConfig} />
        {secretsOf(config).map((it) => (
          <SecretField
            key={it.name}
            {...it}
            known={channel?.secrets[it.name] ?? false}
            value={secrets[it.name] ?? ""}
            onChange={(text) =>
              setSecrets(
                text === ""
                  ? Object.fromEntries(Object.entries(secrets).filter(([key]) => key !== it.name))
                  : { ...secrets, [it.name]: text },
              )
            }
          />
        ))}
        <Checkbox checked={enabled} onChange={(event) => setEnabled(event.target.checked)}>
          {t("notify.enabled")}
        </Checkbox>
        {save.error && <Alert type="error" showIcon title={say(save.error)} />}
      </div>
    </Modal>
  );
}

interface SecretProps {
  name: SecretName;
  optional: boolean;
  known: boolean;
  value: string;
  onChange: (text: string) => void;
}

function SecretField({ name, optional, known, value, onChange }: SecretProps) {
  const { t } = useTranslation();
  const hint = known
    ? t("notify.secret_kept")
    : optional
      ? t("notify.secret_optional")
      : t("notify.secret_needed");
  return (
    <>
      <label htmlFor={`channel-${name}`}>{t(`notify.secret.${name}`)}</label>
      <Input.Password
        id={`channel-${name}`}
        autoComplete="new-password"
        placeholder={hint}
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
    </>
  );
}

interface FieldsProps {
  config: ChannelConfig;
  onChange: (config: ChannelConfig) => void;
}

function ConfigFields({ config, onChange }: FieldsProps) {
  const { t } = useTranslation();
  const text = (field: string, value: string, set: (text: string) => ChannelConfig) => (
    <>
      <label htmlFor={`channel-${field}`}>{t(`notify.field.${field as "server"}`)}</label>
      <Input
        id={`channel-${field}`}
        autoComplete="off"
        value={value}
        onChange={(event) => onChange(set(event.target.value))}
      />
    </>
  );
  const port = (value: number, set: (port: number) => ChannelConfig) => (
    <>
      <label htmlFor="channel-port">{t("notify.field.port")}</label>
      <InputNumber
        id="channel-port"
        min={1}
        max={65_535}
        value={value}
        onChange={(it) => it !== null && onChange(set(it))}
      />
    </>
  );
  const authority = (value: string, set: (text: string) => ChannelConfig) => (
    <>
      <label htmlFor="channel-ca">{t("notify.field.ca_pem")}</label>
      <Input.TextArea
        id="channel-ca"
        className="mono"
        rows={2}
        placeholder="-----BEGIN CERTIFICATE-----"
        value={value}
        onChange={(event) => onChange(set(event.target.value))}
      />
    </>
  );
  switch (config.type) {
    case "email":
      return (
        <>
          {text("server", config.server, (server) => ({ ...config, server }))}
          {port(config.port, (it) => ({ ...config, port: it }))}
          <label htmlFor="channel-tls">{t("notify.field.tls")}</label>
          <Select
            id="channel-tls"
            value={config.tls}
            onChange={(tls) => onChange({ ...config, tls })}
            options={(["starttls", "tls", "plain"] as const).map((it) => ({
              value: it,
              label: t(`notify.tls.${it}`),
            }))}
          />
          {text("user", config.user, (user) => ({ ...config, user }))}
          {text("from", config.from, (from) => ({ ...config, from }))}
          <label htmlFor="channel-to">{t("notify.field.to")}</label>
          <Select
            id="channel-to"
            mode="tags"
            open={false}
            suffixIcon={null}
            tokenSeparators={[",", " ", ";"]}
            value={config.to}
            onChange={(to: string[]) => onChange({ ...config, to })}
          />
          {authority(config.ca_pem, (ca_pem) => ({ ...config, ca_pem }))}
        </>
      );
    case "webhook":
      return (
        <>
          {text("url", config.url, (url) => ({ ...config, url }))}
          {authority(config.ca_pem, (ca_pem) => ({ ...config, ca_pem }))}
        </>
      );
    case "pagerduty":
      return text("url", config.url, (url) => ({ ...config, url }));
    case "syslog":
      return (
        <>
          {text("server", config.server, (server) => ({ ...config, server }))}
          {port(config.port, (it) => ({ ...config, port: it }))}
          <label htmlFor="channel-transport">{t("notify.field.transport")}</label>
          <Select
            id="channel-transport"
            value={config.transport}
            onChange={(transport) => onChange({ ...config, transport })}
            options={(["udp", "tcp", "tls"] as const).map((it) => ({
              value: it,
              label: it.toUpperCase(),
            }))}
          />
          <label htmlFor="channel-body">{t("notify.field.body")}</label>
          <Select
            id="channel-body"
            value={config.body}
            onChange={(body) => onChange({ ...config, body })}
            options={(["json", "cef"] as const).map((it) => ({
              value: it,
              label: it.toUpperCase(),
            }))}
          />
          <label htmlFor="channel-facility">{t("notify.field.facility")}</label>
          <InputNumber
            id="channel-facility"
            min={0}
            max={23}
            value={config.facility}
            onChange={(it) => it !== null && onChange({ ...config, facility: it })}
          />
          {config.transport === "tls" &&
            authority(config.ca_pem, (ca_pem) => ({ ...config, ca_pem }))}
        </>
      );
    case "file":
      return text("file_name", config.name, (name) => ({ ...config, name }));
    case "slack":
    case "teams":
    case "feishu":
    case "dingtalk":
    case "wecom":
      return null;
  }
}
