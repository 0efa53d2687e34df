// One server out of ten thousand: found by typing, never listed whole.
import { useQuery } from "@tanstack/react-query";
import { Select } from "antd";
import { useDeferredValue, useState } from "react";
import { read } from "../api";
import type { NamedRef } from "../contract";

interface Props {
  id: string;
  value: NamedRef | null;
  /** What stands for no server. */
  none: string;
  onPick: (host: NamedRef | null) => void;
}

const TYPED_MIN = 2;

export function HostPick({ id, value, none, onPick }: Props) {
  const [typed, setTyped] = useState("");
  const asked = useDeferredValue(typed.trim());
  const { data, isFetching } = useQuery({
    ...read.search(asked),
    enabled: asked.length >= TYPED_MIN,
  });
  const found = (data?.items ?? []).flatMap((it) => (it.type === "host" ? [it.host] : []));
  const hosts = [...(value ? [value] : []), ...found.filter((it) => it.id !== value?.id)];
  return (
    <Select
      id={id}
      loading={isFetching}
      showSearch={{ filterOption: false, onSearch: setTyped }}
      value={value?.id ?? ""}
      options={[
        { value: "", label: none },
        ...hosts.map((it) => ({ value: it.id, label: it.name })),
      ]}
      onChange={(it: string) => onPick(hosts.find((host) => host.id === it) ?? null)}
    />
  );
}
