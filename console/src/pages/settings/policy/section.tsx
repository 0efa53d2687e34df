import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, App, Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../../api";
import type { Policy, PolicyState } from "../../../contract";
import { useMay } from "../../../parts/permission";
import { useProblemText } from "../../../parts/problem";
import { Loaded } from "../../../parts/states";
import { When } from "../../../parts/when";
import { Section } from "../section";
import { CollectPolicy } from "./collect";
import { LockProvider } from "./fields";
import { LoginPolicy } from "./login";
import { ResponsePolicy } from "./response";

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

function PolicyForm({ state }: { state: PolicyState }) {
  const { t } = useTranslation();
  const may = useMay();
  const [policy, setPolicy] = useState<Policy>(state.policy);
  // Fields remember the unit a person chose; after "Discard" they begin anew.
  const [round, setRound] = useState(0);
  const change = (part: Partial<Policy>) => setPolicy((it) => ({ ...it, ...part }));
  const locked = !may("manage_policy");
  return (
    <LockProvider value={locked}>
      <div className="policy">
        {locked && <Alert type="info" showIcon title={t("policy.read_only")} />}
        <LoginPolicy
          key={`login ${round}`}
          login={policy.login}
          onChange={(it) => change({ login: { ...policy.login, ...it } })}
        />
        <ResponsePolicy
          key={`response ${round}`}
          response={policy.response}
          onChange={(it) => change({ response: { ...policy.response, ...it } })}
        />
        <CollectPolicy key={`collect ${round}`} policy={policy} onChange={change} />
        {!locked && (
          <SaveBar
            state={state}
            policy={policy}
            onDiscard={() => {
              setPolicy(state.policy);
              setRound(round + 1);
            }}
          />
        )}
      </div>
    </LockProvider>
  );
}

interface SaveProps {
  state: PolicyState;
  policy: Policy;
  onDiscard: () => void;
}

/** Stays in sight while the form scrolls. */
function SaveBar({ state, policy, onDiscard }: SaveProps) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const say = useProblemText();
  const queries = useQueryClient();
  const save = useMutation({
    mutationFn: () => act.setPolicy(state.version, policy),
    onSuccess: (it) => {
      void message.success(t("policy.saved"));
      queries.setQueryData(read.policy().queryKey, it);
    },
  });
  const changed = JSON.stringify(policy) !== JSON.stringify(state.policy);
  return (
    <div className="save save-bar">
      {save.error && <Alert type="error" showIcon title={say(save.error)} />}
      <Button
        type="primary"
        disabled={!changed}
        loading={save.isPending}
        onClick={() => save.mutate()}
      >
        {t("policy.save")}
      </Button>
      {changed && <Button onClick={onDiscard}>{t("policy.discard")}</Button>}
      {state.changed_by && (
        <span className="muted">
          {t("policy.changed_by", { name: state.changed_by })} · <When at={state.changed_at} />
        </span>
      )}
    </div>
  );
}
