import { Tooltip } from "antd";
import { useTranslation } from "react-i18next";
import { useLiveState } from "../../live";

export function LiveDot() {
  const { t } = useTranslation();
  const state = useLiveState();
  return (
    <Tooltip title={t(`live.${state}_hint`)}>
      <span className="live" role="status" data-state={state}>
        <span className="live-dot" aria-hidden="true" />
        <span className="live-word">{t(`live.${state}`)}</span>
      </span>
    </Tooltip>
  );
}
