import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, App, Button, InputNumber } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../api";
import type { Settings } from "../../contract";
import { useMay } from "../../parts/permission";
import { useProblemText } from "../../parts/problem";
import { Loaded } from "../../parts/states";
import { Section } from "./section";

const DAYS_MAX = 3_650;
const FIELDS = [
  "alarm_retention_days",
  "change_retention_days",
] as const satisfies (keyof Settings)[];

export function RetentionSection() {
  const { t } = useTranslation();
  const settings = useQuery(read.settings());
  return (
    <Section title={t("settings.retention")} about={t("retention.about")}>
      <Loaded query={settings} lines={3}>
        {(it) => <RetentionForm settings={it} />}
      </Loaded>
    </Section>
  );
}

function RetentionForm({ settings }: { settings: Settings }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const say = useProblemText();
  const may = useMay();
  const queries = useQueryClient();
  const [change, setChange] = useState<Partial<Settings>>({});
  const edited = { ...settings, ...change };
  const locked = !may("manage_settings");
  const save = useMutation({
    mutationFn: () => act.setSettings(edited),
    onSuccess: (it) => {
      queries.setQueryData(read.settings().queryKey, it);
      setChange({});
      void message.success(t("policy.saved"));
    },
  });
  const shorter = FIELDS.some((it) => edited[it] < settings[it]);
  return (
    <div className="policy">
      {FIELDS.map((it) => (
        <div className="threshold" key={it}>
          <label htmlFor={it}>{t(`retention.${it}`)}</label>
          <InputNumber
            id={it}
            disabled={locked}
            min={1}
            max={DAYS_MAX}
            suffix={t("retention.days")}
            value={edited[it]}
            onChange={(days) => days !== null && setChange({ ...change, [it]: days })}
          />
        </div>
      ))}
      {shorter && <Alert type="warning" showIcon title={t("retention.shorter")} />}
      {save.error && <Alert type="error" showIcon title={say(save.error)} />}
      {!locked && (
        <div className="save">
          <Button
            type="primary"
            disabled={FIELDS.every((it) => edited[it] === settings[it])}
            loading={save.isPending}
            onClick={() => save.mutate()}
          >
            {t("part.save")}
          </Button>
        </div>
      )}
    </div>
  );
}
