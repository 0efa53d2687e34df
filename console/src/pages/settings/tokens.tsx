import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, Button, Input, Popconfirm, Select } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../api";
import type { ApiToken, Permission } from "../../contract";
import { useMay } from "../../parts/permission";
import { useProblemText } from "../../parts/problem";
import { Secret } from "../../parts/secret";
import { listSource } from "../../parts/source";
import { type Column, Table } from "../../parts/table";
import { Moment, When } from "../../parts/when";
import { SectionHead } from "./section";

const PERMISSIONS = [
  "read",
  "handle",
  "scan",
  "manage_hosts",
  "manage_policy",
  "manage_users",
  "manage_tokens",
  "manage_notifications",
  "manage_settings",
  "read_audit",
] as const satisfies Permission[];
const LIVES_DAYS = [7, 30, 90, 365] as const;
const DAY_S = 86_400;

export function TokensSection() {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const list = useQuery(read.apiTokens());
  const revoke = useMutation({
    mutationFn: act.deleteApiToken,
    onSettled: () => queries.invalidateQueries({ queryKey: read.apiTokens().queryKey }),
  });
  const columns: Column<ApiToken>[] = [
    {
      id: "name",
      title: t("token.name"),
      render: (it) => (
        <span className="cut" title={it.name}>
          {it.name}
        </span>
      ),
    },
    {
      id: "permissions",
      title: t("token.permissions"),
      render: (it) => {
        const names = it.permissions.map((one) => t(`permission.${one}`)).join(t("part.comma"));
        return (
          <span className="cut" title={names}>
            {names}
          </span>
        );
      },
    },
    { id: "user", title: t("token.by"), width: 130, render: (it) => it.user },
    {
      id: "expires",
      title: t("enrol.expires"),
      width: 180,
      render: (it) => <Moment at={it.expires_at} />,
    },
    {
      id: "used",
      title: t("token.used"),
      width: 130,
      render: (it) => <When at={it.last_used_at} />,
    },
    {
      id: "revoke",
      title: t("finding.action"),
      width: 110,
      render: (it) => (
        <Popconfirm
          title={t("token.revoke_title")}
          okText={t("enrol.revoke")}
          cancelText={t("part.cancel")}
          onConfirm={() => revoke.mutateAsync(it.id)}
        >
          <Button size="small" danger>
            {t("enrol.revoke")}
          </Button>
        </Popconfirm>
      ),
    },
  ];
  return (
    <>
      <SectionHead title={t("settings.tokens")} about={t("token.about")} />
      <NewToken />
      <Table
        name="api-tokens"
        label={t("settings.tokens")}
        columns={columns}
        source={listSource(list)}
        rowKey={(it) => it.id}
        empty={{ title: t("token.none"), hint: t("token.none_hint") }}
      />
    </>
  );
}

function NewToken() {
  const { t } = useTranslation();
  const say = useProblemText();
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const may = useMay();
  const [permissions, setPermissions] = useState<Permission[]>(["read"]);
  const [days, setDays] = useState<number>(30);
  const create = useMutation({
    mutationFn: () => act.createApiToken({ name: name.trim(), permissions, ttl_s: days * DAY_S }),
    onSuccess: () => setName(""),
    onSettled: () => queries.invalidateQueries({ queryKey: read.apiTokens().queryKey }),
  });
  return (
    <div className="new-token">
      <div className="inline-form">
        <label htmlFor="token-name">{t("token.name")}</label>
        <Input
          id="token-name"
          style={{ width: 220 }}
          maxLength={64}
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
        <label htmlFor="token-permissions">{t("token.permissions")}</label>
        <Select<Permission[]>
          id="token-permissions"
          mode="multiple"
          style={{ width: 320 }}
          maxTagCount="responsive"
          value={permissions}
          onChange={setPermissions}
          options={PERMISSIONS.filter(may).map((it) => ({
            value: it,
            label: t(`permission.${it}`),
          }))}
        />
        <label htmlFor="token-life">{t("enrol.life")}</label>
        <Select
          id="token-life"
          style={{ width: 110 }}
          value={days}
          onChange={setDays}
          options={LIVES_DAYS.map((it) => ({ value: it, label: t("token.days", { count: it }) }))}
        />
        <Button
          type="primary"
          disabled={name.trim() === "" || permissions.length === 0}
          loading={create.isPending}
          onClick={() => create.mutate()}
        >
          {t("token.create")}
        </Button>
      </div>
      {create.error && <Alert type="error" showIcon title={say(create.error)} />}
      {create.data && <Secret label={t("token.secret")} text={create.data.token} />}
    </div>
  );
}
