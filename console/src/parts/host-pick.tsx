// One server out of ten thousand: found by typing, never listed whole.
import { useQuery } from "@tanstack/react-query";
import { Select } from "antd";
import { useDeferredValue, useState } from "react";
import { useTranslation } from "react-i18next";
import { read } from "../api";
import type { NamedRef } from "../contract";

interface PickProps {
  id: string;
  value: NamedRef | null;
  /** What stands for no server. */
  none: string;
  onPick: (host: NamedRef | null) => void;
}

const TYPED_MIN = 2;
const FILTER_PX = 130;

/** In a form. */
export function HostPick({ id, value, none, onPick }: PickProps) {
  const { hosts, options, ...typing } = useHosts(value);
  return (
    <Select
      {...typing}
      id={id}
      value={value?.id ?? ""}
      options={[{ value: "", label: none }, ...options]}
      onChange={(it: string) => onPick(hosts.find((host) => host.id === it) ?? null)}
    />
  );
}

interface FilterProps {
  host: string | undefined;
  onPick: (host: string | undefined) => void;
}

/** Over a list: empty means all. */
export function HostFilter({ host, onPick }: FilterProps) {
  const { t } = useTranslation();
  const { data } = useQuery({ ...read.host(host ?? ""), enabled: Boolean(host) });
  const {
    options,
    hosts: _,
    ...typing
  } = useHosts(host ? { id: host, name: data?.name ?? host } : null);
  return (
    <Select<string | null>
      {...typing}
      allowClear
      aria-label={t("finding.host")}
      placeholder={t("finding.host")}
      value={host ?? null}
      options={options}
      notFoundContent={null}
      style={{ width: FILTER_PX }}
      popupMatchSelectWidth={false}
      onChange={(it) => onPick(it ?? undefined)}
    />
  );
}

/** The chosen one, and those that what is typed leads to. */
function useHosts(value: NamedRef | null) {
  const [typed, setTyped] = useState("");
  const asked = useDeferredValue(typed.trim());
  const { data, isFetching } = useQuery({
    ...read.search(asked),
    enabled: asked.length >= TYPED_MIN,
  });
  const found = (data?.items ?? []).flatMap((it) => (it.type === "host" ? [it.host] : []));
  const hosts = [...(value ? [value] : []), ...found.filter((it) => it.id !== value?.id)];
  return {
    hosts,
    options: hosts.map((it) => ({ value: it.id, label: it.name })),
    loading: isFetching,
    showSearch: { filterOption: false as const, onSearch: setTyped },
  };
}
