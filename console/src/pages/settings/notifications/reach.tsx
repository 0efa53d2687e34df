import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, App, Button, Input, Radio } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../../api";
import type { NotifySettings } from "../../../contract";
import { useProblemText } from "../../../parts/problem";
import { Loaded } from "../../../parts/states";

const REACHES = ["public", "private", "any"] as const satisfies NotifySettings["reach"][];

export function Reach() {
  const settings = useQuery(read.notifySettings());
  return (
    <Loaded query={settings} lines={5}>
      {(it) => <ReachForm settings={it} />}
    </Loaded>
  );
}

function ReachForm({ settings }: { settings: NotifySettings }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const say = useProblemText();
  const queries = useQueryClient();
  const [given, setGiven] = useState(settings);
  const save = useMutation({
    mutationFn: () => act.setNotifySettings(given),
    onSuccess: (it) => {
      void message.success(t("notify.saved"));
      queries.setQueryData(read.notifySettings().queryKey, it);
      setGiven(it);
    },
  });
  const changed = given.reach !== settings.reach || given.console_url !== settings.console_url;
  return (
    <div className="policy">
      <section className="policy-group">
        <h3>{t("notify.reach.title")}</h3>
        <p className="muted">{t("notify.reach.about")}</p>
        <Radio.Group
          vertical
          value={given.reach}
          onChange={(event) => setGiven({ ...given, reach: event.target.value })}
          options={REACHES.map((it) => ({ value: it, label: t(`notify.reach.to.${it}`) }))}
        />
      </section>
      <section className="policy-group">
        <h3>
          <label htmlFor="console-url">{t("notify.reach.console")}</label>
        </h3>
        <p className="muted">{t("notify.reach.console_about")}</p>
        <Input
          id="console-url"
          maxLength={512}
          placeholder="https://garrison.example.org"
          value={given.console_url}
          onChange={(event) => setGiven({ ...given, console_url: event.target.value })}
        />
      </section>
      {save.error && <Alert type="error" showIcon title={say(save.error)} />}
      <div className="save">
        <Button
          type="primary"
          disabled={!changed}
          loading={save.isPending}
          onClick={() => save.mutate()}
        >
          {t("notify.save")}
        </Button>
      </div>
    </div>
  );
}
