import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, Button, InputNumber, Popconfirm, Select } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../api";
import type { EnrolToken } from "../../contract";
import { Mono } from "../../parts/mono";
import { useProblemText } from "../../parts/problem";
import { Secret } from "../../parts/secret";
import { listSource } from "../../parts/source";
import { type Column, Table } from "../../parts/table";
import { Moment, When } from "../../parts/when";
import { SectionHead } from "./section";

const LIVES_S = [3_600, 86_400, 604_800] as const;
const USES_MAX = 10_000;

export function EnrolmentSection() {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const list = useQuery(read.enrolTokens());
  const revoke = useMutation({
    mutationFn: act.deleteEnrolToken,
    onSettled: () => queries.invalidateQueries({ queryKey: read.enrolTokens().queryKey }),
  });
  const columns: Column<EnrolToken>[] = [
    { id: "id", title: t("enrol.token"), render: (it) => <Mono text={it.id} /> },
    { id: "group", title: t("servers.group"), width: 160, render: (it) => it.group.name },
    {
      id: "uses",
      title: t("enrol.uses_left"),
      width: 130,
      end: true,
      render: (it) => t("enrol.uses_of", { left: it.uses_left, max: it.uses_max }),
    },
    {
      id: "expires",
      title: t("enrol.expires"),
      width: 180,
      render: (it) => <Moment at={it.expires_at} />,
    },
    {
      id: "created",
      title: t("enrol.created"),
      width: 120,
      render: (it) => <When at={it.created_at} />,
    },
    {
      id: "revoke",
      title: t("finding.action"),
      width: 110,
      render: (it) => (
        <Popconfirm
          title={t("enrol.revoke_title")}
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
      <SectionHead title={t("settings.enrolment")} about={t("enrol.about")} />
      <NewToken />
      <Table
        name="enrol-tokens"
        label={t("settings.enrolment")}
        columns={columns}
        source={listSource(list)}
        rowKey={(it) => it.id}
        empty={{ title: t("enrol.none"), hint: t("enrol.none_hint") }}
      />
    </>
  );
}

/** Three choices and a button; the answer is a line to paste on the new server. */
function NewToken() {
  const { t } = useTranslation();
  const say = useProblemText();
  const queries = useQueryClient();
  const { data: groups } = useQuery(read.groups());
  const [picked, setPicked] = useState<string>();
  const [life, setLife] = useState<number>(LIVES_S[0]);
  const [uses, setUses] = useState(1);
  const group = picked ?? groups?.items[0]?.id;
  const create = useMutation({
    mutationFn: (id: string) => act.createEnrolToken({ group: id, ttl_s: life, uses }),
    onSettled: () => queries.invalidateQueries({ queryKey: read.enrolTokens().queryKey }),
  });
  return (
    <div className="new-token">
      <div className="inline-form">
        <label htmlFor="enrol-group">{t("servers.group")}</label>
        <Select
          id="enrol-group"
          style={{ width: 180 }}
          value={group ?? null}
          loading={!groups}
          options={(groups?.items ?? []).map((it) => ({ value: it.id, label: it.name }))}
          onChange={(it: string | null) => setPicked(it ?? undefined)}
        />
        <label htmlFor="enrol-life">{t("enrol.life")}</label>
        <Select
          id="enrol-life"
          style={{ width: 110 }}
          value={life}
          options={LIVES_S.map((it) => ({ value: it, label: t(`enrol.life_${it}`) }))}
          onChange={setLife}
        />
        <label htmlFor="enrol-uses">{t("enrol.uses")}</label>
        <InputNumber
          id="enrol-uses"
          style={{ width: 90 }}
          min={1}
          max={USES_MAX}
          value={uses}
          onChange={(it) => setUses(it ?? 1)}
        />
        <Button
          type="primary"
          disabled={!group}
          loading={create.isPending}
          onClick={() => group && create.mutate(group)}
        >
          {t("enrol.create")}
        </Button>
      </div>
      {create.error && <Alert type="error" showIcon title={say(create.error)} />}
      {create.data && (
        <>
          <Secret label={t("enrol.one_liner")} text={create.data.one_liner} />
          <Secret label={t("enrol.secret")} text={create.data.token} />
        </>
      )}
    </div>
  );
}
