import { useQuery } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { Button, Input, Modal, Select } from "antd";
import { useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { act, type BlockedFilter, read } from "../../api";
import { HostFilter } from "../../parts/host-pick";
import { useMay } from "../../parts/permission";
import { Pick } from "../../parts/pick";
import { BlockedTable } from "../../parts/response/blocked-table";
import { useAskAgents } from "../../parts/response/reach";
import { SpanInput } from "../../parts/span-input";
import { TextFilter } from "../../parts/text-filter";
import { BLOCKED_STATES, type Edit, edited, type ResponseSearch } from "../../search";

const route = getRouteApi("/frame/response/$section");
/** The server takes a whole address or block, nothing half typed. */
const ADDRESS = /^[0-9A-Fa-f:.]+(\/[0-9]{1,3})?$/;

export function BlockedSection() {
  const { t } = useTranslation();
  const search = route.useSearch();
  const navigate = useNavigate({ from: "/response/$section" });
  const may = useMay();
  const [adding, setAdding] = useState(false);
  const { data: groups } = useQuery(read.groups());
  const set = (change: Edit<ResponseSearch>) =>
    void navigate({ search: (before) => edited(before, change), replace: true });
  const state = BLOCKED_STATES.find((it) => it === search.state);
  const filter: BlockedFilter = {
    ...(search.q && ADDRESS.test(search.q) && { address: search.q }),
    ...(state && { state }),
    ...(search.group && { group: search.group }),
    ...(search.host && { host: search.host }),
  };
  return (
    <>
      <search className="filters">
        <TextFilter
          label={t("respond.whole_address")}
          value={search.q}
          onSettle={(q) => set({ q })}
        />
        <Pick
          label={t("finding.status")}
          value={state}
          choices={BLOCKED_STATES.map((it) => ({
            value: it,
            label: t(`respond.block_state.${it}`),
          }))}
          onPick={(it) => set({ state: it })}
        />
        <Pick
          label={t("servers.group")}
          value={search.group}
          search
          choices={(groups?.items ?? []).map((it) => ({ value: it.id, label: it.name }))}
          onPick={(group) => set({ group })}
        />
        <HostFilter host={search.host} onPick={(host) => set({ host })} />
        {may("handle") && (
          <Button type="primary" className="filters-end" onClick={() => setAdding(true)}>
            {t("respond.block")}
          </Button>
        )}
      </search>
      <BlockedTable filter={filter} withHost />
      {adding && <BlockDialog onClose={() => setAdding(false)} />}
    </>
  );
}

function BlockDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const id = useId();
  const { data: groups } = useQuery(read.groups());
  const [addresses, setAddresses] = useState<string[]>([]);
  const [group, setGroup] = useState<string>();
  const [seconds, setSeconds] = useState(43_200);
  const [reason, setReason] = useState("");
  const block = useAskAgents(act.block);
  const chosen = groups?.items.find((it) => it.id === group);
  return (
    <Modal
      open
      title={t("respond.block")}
      okText={t("respond.block")}
      cancelText={t("part.cancel")}
      okButtonProps={{
        disabled: addresses.length === 0 || !group || !addresses.every((it) => ADDRESS.test(it)),
        loading: block.isPending,
      }}
      onOk={() =>
        group &&
        block
          .mutateAsync({ addresses, group, duration_s: seconds, reason: reason.trim(), hosts: [] })
          .then(onClose)
          .catch(() => {})
      }
      onCancel={onClose}
    >
      <div className="form">
        <label htmlFor={`${id}a`}>{t("policy.addresses")}</label>
        <Select
          id={`${id}a`}
          mode="tags"
          open={false}
          suffixIcon={null}
          tokenSeparators={[",", " ", ";"]}
          placeholder={t("policy.addresses_hint")}
          value={addresses}
          onChange={setAddresses}
        />
        <label htmlFor={`${id}g`}>{t("servers.group")}</label>
        <Select
          id={`${id}g`}
          value={group}
          onChange={setGroup}
          options={(groups?.items ?? []).map((it) => ({ value: it.id, label: it.name }))}
        />
        <label htmlFor={`${id}s`}>{t("response.block_for")}</label>
        <SpanInput
          id={`${id}s`}
          label={t("response.block_for")}
          min={60}
          max={2_592_000}
          seconds={seconds}
          onChange={setSeconds}
        />
        <label htmlFor={`${id}r`}>{t("handle.remark_optional")}</label>
        <Input
          id={`${id}r`}
          maxLength={500}
          value={reason}
          onChange={(event) => setReason(event.target.value)}
        />
        {chosen && <p className="muted">{t("respond.block_plan", { count: chosen.hosts })}</p>}
        <p className="muted">{t("response.never_block_about")}</p>
      </div>
    </Modal>
  );
}
