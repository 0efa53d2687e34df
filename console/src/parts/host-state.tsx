import { Tooltip } from "antd";
import { useTranslation } from "react-i18next";
import type { Host } from "../contract";
import { useText } from "./text";

/** Connection and protection as one mark: a filled disc is seen, a ring is not. */
export function HostState({ host }: { host: Host }) {
  const { t } = useTranslation();
  const say = useText();
  const mark = (
    <span
      className="host-state"
      data-protection={host.protection}
      data-connection={host.connection}
    >
      <span className="host-state-dot" aria-hidden="true" />
      {t(`protection.${host.protection}`)}
      {host.connection !== "online" && (
        <span className="muted">· {t(`connection.${host.connection}`)}</span>
      )}
    </span>
  );
  if (host.protection_reasons.length === 0) return mark;
  return (
    <Tooltip title={host.protection_reasons.map((it) => <div key={it.en}>{say(it)}</div>)}>
      {mark}
    </Tooltip>
  );
}
