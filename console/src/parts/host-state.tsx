import { useTranslation } from "react-i18next";
import type { Host } from "../contract";
import { useProtectionReasons } from "./because";

/** Connection and protection as one mark: a filled disc is seen, a ring is not. */
export function HostState({ host }: { host: Host }) {
  const { t } = useTranslation();
  const reasons = useProtectionReasons()(host);
  return (
    <span
      className="host-state"
      data-protection={host.protection}
      data-connection={host.connection}
      title={reasons.join("\n") || undefined}
    >
      <span className="host-state-dot" aria-hidden="true" />
      {t(`protection.${host.protection}`)}
      {host.connection !== "online" && (
        <span className="muted">· {t(`connection.${host.connection}`)}</span>
      )}
    </span>
  );
}
