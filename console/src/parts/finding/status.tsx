import { useTranslation } from "react-i18next";
import type { FindingItem } from "../../contract";

/** What a person or the server did about a finding. */
export function useDecisionName(): (action: string) => string {
  const { t, i18n } = useTranslation();
  return (action) =>
    i18n.exists(`handled.${action}`) ? t(`handled.${action}` as "handled.ignore") : action;
}

export function StatusMark({ finding }: { finding: Pick<FindingItem, "status" | "handling"> }) {
  const { t } = useTranslation();
  const did = useDecisionName();
  const { status, handling } = finding;
  const by = handling ? t("finding.by", { name: handling.by }) : undefined;
  return (
    <span
      className="status"
      data-status={status}
      title={handling?.remark ? `${by} · ${handling.remark}` : by}
    >
      {handling ? did(handling.action) : t(`status.${status}`)}
    </span>
  );
}
