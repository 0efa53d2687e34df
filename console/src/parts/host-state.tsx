import { useTranslation } from "react-i18next";
import type { Host } from "../contract";
import { useText } from "./text";

/** Connection and protection as one mark: a filled disc is seen, a ring is not. */
export function HostState({ host }: { host: Host }) {
  const { t } = useTranslation();
  const say = useText();
  return (
    <span
      className="host-state"
      data-protection={host.protection}
      data-connection={host.connection}
      title={host.protection_reasons.map(say).join("\n") || undefined}
    >
      <span className="host-state-dot" aria-hidden="true" />
      {t(`protection.${host.protection}`)}
      {host.connection !== "online" && (
        <span className="muted">· {t(`connection.${host.connection}`)}</span>
      )}
    </span>
  );
}
