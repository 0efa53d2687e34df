import { Tooltip } from "antd";
import { useTranslation } from "react-i18next";
import type { FindingItem } from "../../contract";

export function StatusMark({ finding }: { finding: Pick<FindingItem, "status" | "handling"> }) {
  const { t } = useTranslation();
  const { status, handling } = finding;
  const mark = (
    <span className="status" data-status={status}>
      {handling ? t(`handled.${handling.action}`) : t(`status.${status}`)}
    </span>
  );
  if (!handling) return mark;
  const by = t("finding.by", { name: handling.by });
  return <Tooltip title={handling.remark ? `${by} · ${handling.remark}` : by}>{mark}</Tooltip>;
}
