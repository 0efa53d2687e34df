import { useTranslation } from "react-i18next";
import type { FindingItem } from "../../contract";

export function StatusMark({ finding }: { finding: Pick<FindingItem, "status" | "handling"> }) {
  const { t } = useTranslation();
  const { status, handling } = finding;
  const by = handling ? t("finding.by", { name: handling.by }) : undefined;
  return (
    <span
      className="status"
      data-status={status}
      title={handling?.remark ? `${by} · ${handling.remark}` : by}
    >
      {handling ? t(`handled.${handling.action}`) : t(`status.${status}`)}
    </span>
  );
}
