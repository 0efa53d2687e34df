import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, App, Button, Input, InputNumber, Select } from "antd";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../api";
import type { Policy, PolicyState } from "../../contract";
import { useMay } from "../../parts/permission";
import { useProblemText } from "../../parts/problem";
import { Loaded } from "../../parts/states";
import { When } from "../../parts/when";
import { Section } from "./section";

export function PolicySection() {
  const { t } = useTranslation();
  const policy = useQuery(read.policy());
  return (
    <Section title={t("settings.policy")} about={t("policy.about")}>
      <Loaded query={policy} lines={12}>
        {(it) => <PolicyForm key={it.version} state={it} />}
      </Loaded>
    </Section>
  );
}

/** Thresholds with their least and most, as `number within span`. */
const PAIRS = [
  { count: "burst_failures", span: "burst_window_s" },
  { count: "slow_failures", span: "slow_window_s" },
  { count: "spread_sources", span: "spread_window_s" },
  { count: "spray_accounts", span: "spread_window_s" },
] as const;
const COUNT_MAX = 100_000;
const SPAN_MAX_S = 604_800;

function PolicyForm({ state }: { state: PolicyState }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const say = useProblemText();
  const may = useMay();
  const queries = useQueryClient();
  const [policy, setPolicy] = useState<Policy>(state.policy);
  const { login, ports } = policy;
  const setLogin = (change: Partial<Policy["login"]>) =>
    setPolicy({ ...policy, login: { ...login, ...change } });
  const save = useMutation({
    mutationFn: () => act.setPolicy(state.version, policy),
    onSuccess: (it) => {
      void message.success(t("policy.saved"));
      queries.setQueryData(read.policy().queryKey, it);
    },
  });
  const locked = !may("manage_policy");
  const changed = JSON.stringify(policy) !== JSON.stringify(state.policy);

  return (
    <fieldset disabled={locked} className="policy">
      {locked && <Alert type="info" showIcon title={t("policy.read_only")} />}
      <Group title={t("policy.thresholds")}>
        {PAIRS.map(({ count, span }) => (
          <div className="threshold" key={count}>
            <span>{t(`policy.${count}`)}</span>
            <InputNumber
              aria-label={t(`policy.${count}`)}
              disabled={locked}
              min={1}
              max={COUNT_MAX}
              value={login[count]}
              onChange={(it) => it !== null && setLogin({ [count]: it })}
            />
            <span className="muted">{t("policy.within")}</span>
            <InputNumber
              aria-label={t("policy.span_of", { name: t(`policy.${count}`) })}
              disabled={locked}
              min={1}
              max={SPAN_MAX_S}
              suffix={t("policy.seconds")}
              value={login[span]}
              onChange={(it) => it !== null && setLogin({ [span]: it })}
            />
          </div>
        ))}
        <div className="threshold">
          <span>{t("policy.places_learned")}</span>
          <InputNumber
            aria-label={t("policy.places_learned")}
            disabled={locked}
            min={0}
            max={100}
            value={login.places_learned}
            onChange={(it) => it !== null && setLogin({ places_learned: it })}
          />
        </div>
      </Group>
      <Group title={t("policy.common")} about={t("policy.common_about")}>
        <Words
          id="places"
          label={t("policy.places")}
          hint={t("policy.places_hint")}
          values={login.common_places}
          onChange={(it) => setLogin({ common_places: it.map((code) => code.toUpperCase()) })}
          locked={locked}
        />
        <Words
          id="addresses"
          label={t("policy.addresses")}
          hint={t("policy.addresses_hint")}
          values={login.common_addresses}
          onChange={(it) => setLogin({ common_addresses: it })}
          locked={locked}
        />
      </Group>
      <Group title={t("policy.whitelist")} about={t("policy.whitelist_about")}>
        <Whitelist
          entries={login.whitelist}
          onChange={(whitelist) => setLogin({ whitelist })}
          locked={locked}
        />
      </Group>
      <Group title={t("policy.ports")} about={t("policy.ports_about")}>
        <Words
          id="ports"
          label={t("policy.ports_label")}
          hint={t("policy.ports_hint")}
          values={ports.ignored.map((it) => `${it.protocol}/${it.port}`)}
          onChange={(it) => setPolicy({ ...policy, ports: { ignored: it.flatMap(readPort) } })}
          locked={locked}
        />
      </Group>
      {save.error && <Alert type="error" showIcon title={say(save.error)} />}
      {!locked && (
        <div className="save">
          <Button
            type="primary"
            disabled={!changed}
            loading={save.isPending}
            onClick={() => save.mutate()}
          >
            {t("policy.save")}
          </Button>
          {changed && (
            <Button onClick={() => setPolicy(state.policy)}>{t("policy.discard")}</Button>
          )}
          {state.changed_by && (
            <span className="muted">
              {t("policy.changed_by", { name: state.changed_by })} · <When at={state.changed_at} />
            </span>
          )}
        </div>
      )}
    </fieldset>
  );
}

/** `tcp/6379` or a bare number, which means TCP. */
export function readPort(text: string): Policy["ports"]["ignored"] {
  const match = /^(?:(tcp|udp)\/)?(\d{1,5})$/.exec(text.trim().toLowerCase());
  const port = Number(match?.[2]);
  if (!match || port < 1 || port > 65_535) return [];
  return [{ protocol: match[1] ?? "tcp", port }];
}

function Group(props: { title: string; about?: string; children: ReactNode }) {
  return (
    <section className="policy-group">
      <h3>{props.title}</h3>
      {props.about && <p className="muted">{props.about}</p>}
      {props.children}
    </section>
  );
}

interface WordsProps {
  id: string;
  label: string;
  hint: string;
  values: string[];
  onChange: (values: string[]) => void;
  locked: boolean;
}

function Words({ id, label, hint, values, onChange, locked }: WordsProps) {
  return (
    <div className="words">
      <label htmlFor={id}>{label}</label>
      <Select
        id={id}
        mode="tags"
        open={false}
        suffixIcon={null}
        disabled={locked}
        tokenSeparators={[",", " ", ";"]}
        placeholder={hint}
        value={values}
        onChange={onChange}
      />
    </div>
  );
}

interface WhitelistProps {
  entries: Policy["login"]["whitelist"];
  onChange: (entries: Policy["login"]["whitelist"]) => void;
  locked: boolean;
}

function Whitelist({ entries, onChange, locked }: WhitelistProps) {
  const { t } = useTranslation();
  const [address, setAddress] = useState("");
  const [user, setUser] = useState("");
  const add = () => {
    onChange([...entries, { address: address.trim() || null, user: user.trim() || null }]);
    setAddress("");
    setUser("");
  };
  return (
    <div className="whitelist">
      {entries.length === 0 && <span className="muted">{t("policy.whitelist_none")}</span>}
      <ul>
        {entries.map((it) => (
          <li key={`${it.address ?? ""} ${it.user ?? ""}`}>
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
