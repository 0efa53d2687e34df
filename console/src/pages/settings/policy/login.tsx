// When log-ins become alarms.
import { Button, Input, InputNumber } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { Policy } from "../../../contract";
import { Amount, Group, SpanInput, useLocked, Words } from "./fields";

type Login = Policy["login"];

interface Props {
  login: Login;
  onChange: (change: Partial<Login>) => void;
}

/** Thresholds as `number within span`; two share a span. */
const PAIRS = [
  { count: "burst_failures", span: "burst_window_s", least: 2, shortest: 1, longest: 86_400 },
  { count: "slow_failures", span: "slow_window_s", least: 2, shortest: 60, longest: 604_800 },
  { count: "spread_sources", span: "spread_window_s", least: 2, shortest: 1, longest: 604_800 },
  { count: "spray_accounts", span: "spread_window_s", least: 2, shortest: 1, longest: 604_800 },
] as const;
const COUNT_MAX = 10_000;
const PLACES_MAX = 100;

export function LoginPolicy({ login, onChange }: Props) {
  const { t } = useTranslation();
  const locked = useLocked();
  return (
    <>
      <Group title={t("policy.thresholds")}>
        {PAIRS.map(({ count, span, least, shortest, longest }) => (
          <div className="threshold" key={count}>
            <span>{t(`policy.${count}`)}</span>
            <InputNumber
              aria-label={t(`policy.${count}`)}
              disabled={locked}
              precision={0}
              min={least}
              max={COUNT_MAX}
              value={login[count]}
              onChange={(it) => it !== null && onChange({ [count]: it })}
            />
            <span className="muted">{t("policy.within")}</span>
            <SpanInput
              key={login[span]}
              label={t("policy.span_of", { name: t(`policy.${count}`) })}
              min={shortest}
              max={longest}
              seconds={login[span]}
              onChange={(it) => onChange({ [span]: it })}
            />
          </div>
        ))}
        <Amount
          label={t("policy.places_learned")}
          min={0}
          max={PLACES_MAX}
          value={login.places_learned}
          onChange={(it) => onChange({ places_learned: it })}
        />
      </Group>
      <Group title={t("policy.common")} about={t("policy.common_about")}>
        <Words
          label={t("policy.places")}
          hint={t("policy.places_hint")}
          values={login.common_places}
          onChange={(it) => onChange({ common_places: it.map((code) => code.toUpperCase()) })}
        />
        <Words
          label={t("policy.addresses")}
          hint={t("policy.addresses_hint")}
          values={login.common_addresses}
          onChange={(it) => onChange({ common_addresses: it })}
        />
      </Group>
      <Group title={t("policy.whitelist")} about={t("policy.whitelist_about")}>
        <Whitelist entries={login.whitelist} onChange={(whitelist) => onChange({ whitelist })} />
      </Group>
    </>
  );
}

interface WhitelistProps {
  entries: Login["whitelist"];
  onChange: (entries: Login["whitelist"]) => void;
}

function Whitelist({ entries, onChange }: WhitelistProps) {
  const { t } = useTranslation();
  const locked = useLocked();
  const [address, setAddress] = useState("");
  const [user, setUser] = useState("");
  const add = () => {
    const entry = { address: address.trim() || null, user: user.trim() || null, host: null };
    onChange([...entries, entry]);
    setAddress("");
    setUser("");
  };
  return (
    <div className="whitelist">
      {entries.length === 0 && <span className="muted">{t("policy.whitelist_none")}</span>}
      <ul>
        {entries.map((it) => (
          <li key={`${it.address ?? ""} ${it.user ?? ""} ${it.host ?? ""}`}>
            <span className="mono">{it.address ?? t("policy.any_address")}</span>
            <span className="mono">{it.user ?? t("policy.any_user")}</span>
            {!locked && (
              <Button
                size="small"
                type="text"
                onClick={() => onChange(entries.filter((other) => other !== it))}
              >
                {t("policy.remove")}
              </Button>
            )}
          </li>
        ))}
      </ul>
      {!locked && (
        <div className="inline-form">
          <Input
            style={{ width: 200 }}
            aria-label={t("login.address")}
            placeholder={t("policy.address_hint")}
            value={address}
            onChange={(event) => setAddress(event.target.value)}
          />
          <Input
            style={{ width: 140 }}
            aria-label={t("login.user")}
            placeholder={t("login.user")}
            value={user}
            onChange={(event) => setUser(event.target.value)}
          />
          <Button disabled={!address.trim() && !user.trim()} onClick={add}>
            {t("policy.add")}
          </Button>
        </div>
      )}
    </div>
  );
}
