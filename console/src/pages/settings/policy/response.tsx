// What agents may do by themselves; each switch says what it can break.
import { useTranslation } from "react-i18next";
import type { Policy } from "../../../contract";
import { Amount, Group, Span, Toggle, Warning, Words } from "./fields";

type Response = Policy["response"];

interface Props {
  response: Response;
  onChange: (change: Partial<Response>) => void;
}

/** Rules that are less sure than this are wrong now and then. */
const SURE_FROM = 80;

export function ResponsePolicy({ response, onChange }: Props) {
  const { t } = useTranslation();
  const acts = response.block || response.isolate;
  return (
    <Group title={t("response.title")} about={t("response.about")}>
      <Toggle
        label={t("response.block")}
        about={t("response.block_about")}
        value={response.block}
        onChange={(block) => onChange({ block })}
      />
      {response.block && response.never_block.length === 0 && (
        <Warning>{t("response.no_never_block")}</Warning>
      )}
      <Words
        label={t("response.never_block")}
        hint={t("policy.addresses_hint")}
        values={response.never_block}
        onChange={(never_block) => onChange({ never_block })}
      />
      <p className="muted policy-note">{t("response.never_block_about")}</p>
      <Span
        label={t("response.block_for")}
        min={60}
        max={2_592_000}
        seconds={response.block_s}
        onChange={(block_s) => onChange({ block_s })}
      />
      <Toggle
        label={t("response.share")}
        about={t("response.share_about")}
        value={response.share_blocks}
        onChange={(share_blocks) => onChange({ share_blocks })}
      />
      <Span
        label={t("response.dead_man")}
        about={t("response.dead_man_about")}
        min={10}
        max={3_600}
        seconds={response.dead_man_s}
        onChange={(dead_man_s) => onChange({ dead_man_s })}
      />
      <Toggle
        label={t("response.isolate")}
        about={t("response.isolate_about")}
        value={response.isolate}
        onChange={(isolate) => onChange({ isolate })}
      />
      {response.isolate && <Warning>{t("response.isolate_warning")}</Warning>}
      <Amount
        label={t("response.confidence")}
        about={t("response.confidence_about")}
        min={1}
        max={100}
        value={response.confidence_min}
        onChange={(confidence_min) => onChange({ confidence_min })}
      />
      {acts && response.confidence_min < SURE_FROM && <Warning>{t("response.unsure")}</Warning>}
      <Amount
        label={t("response.per_hour")}
        about={t("response.per_hour_about")}
        min={1}
        max={10_000}
        value={response.per_hour_max}
        onChange={(per_hour_max) => onChange({ per_hour_max })}
      />
      <Toggle
        label={t("response.refuse")}
        about={t("response.refuse_about")}
        value={response.refuse_programs}
        onChange={(refuse_programs) => onChange({ refuse_programs })}
      />
      <Toggle
        label={t("response.lock")}
        about={t("response.lock_about")}
        value={response.lock_agent}
        onChange={(lock_agent) => onChange({ lock_agent })}
      />
      <Toggle
        label={t("response.protect")}
        about={t("response.protect_about")}
        value={response.protect_agent}
        onChange={(protect_agent) => onChange({ protect_agent })}
      />
    </Group>
  );
}
