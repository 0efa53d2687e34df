// When log-ins become alarms.
import { InputNumber } from "antd";
import { useTranslation } from "react-i18next";
import type { Policy } from "../../../contract";
import { SpanInput } from "../../../parts/span-input";
import { Amount, Group, useLocked, Words } from "./fields";

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
              disabled={locked}
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
    </>
  );
}
