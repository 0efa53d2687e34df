import { SearchOutlined } from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { AutoComplete, Input, type InputRef } from "antd";
import { useDeferredValue, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { read } from "../../api";
import type { SearchHit } from "../../contract";
import { cutMiddle } from "../../format";
import { useKeys } from "../../keys";
import { useText } from "../../parts/text";

const TYPES = ["host", "finding", "asset"] as const;

/** One field for hosts, addresses, events and assets; the hits say what they are. */
export function GlobalSearch() {
  const { t } = useTranslation();
  const say = useText();
  const navigate = useNavigate();
  const field = useRef<InputRef>(null);
  const [typed, setTyped] = useState("");
  const asked = useDeferredValue(typed.trim());
  const found = useQuery({ ...read.search(asked), enabled: asked.length >= 2 });
  useKeys({ "/": () => field.current?.focus() });

  const hits = asked.length >= 2 ? (found.data?.items ?? []) : [];
  const label = (hit: SearchHit): { text: string; side: string } => {
    if (hit.type === "host") return { text: hit.host.name, side: hit.addresses[0] ?? "" };
    if (hit.type === "finding")
      return { text: say(hit.finding.sentence), side: hit.finding.host.name };
    const side = t("search.hosts", { count: hit.asset.hosts });
    return { text: cutMiddle(hit.asset.value, 56), side };
  };
  const open = (hit: SearchHit) => {
    setTyped("");
    field.current?.blur();
    if (hit.type === "host") void navigate({ to: "/servers/$host", params: { host: hit.host.id } });
    if (hit.type === "finding")
      void navigate({ to: "/events/$finding", params: { finding: hit.finding.id } });
    if (hit.type === "asset") {
      const { kind, column, value } = hit.asset;
      void navigate({
        to: "/assets/$kind",
        params: { kind },
        search: { view: "rows", column, value },
      });
    }
  };
  const groups = TYPES.map((type) => ({
    label: t(`search.${type}`),
    options: hits.flatMap((hit, index) => {
      if (hit.type !== type) return [];
      const { text, side } = label(hit);
      return [
        {
          value: String(index),
          label: (
            <span className="search-hit">
              <span>{text}</span>
              <span className="muted">{side}</span>
            </span>
          ),
        },
      ];
    }),
  })).filter((it) => it.options.length > 0);

  return (
    <AutoComplete
      className="search"
      value={typed}
      options={groups}
      popupMatchSelectWidth={480}
      defaultActiveFirstOption
      notFoundContent={asked.length >= 2 && found.isSuccess ? t("search.nothing") : null}
      onSearch={setTyped}
      onSelect={(index: string) => {
        const hit = hits[Number(index)];
        if (hit) open(hit);
      }}
    >
      <Input
        ref={field}
        prefix={<SearchOutlined />}
        suffix={<kbd>/</kbd>}
        placeholder={t("search.placeholder")}
        aria-label={t("search.label")}
      />
    </AutoComplete>
  );
}
