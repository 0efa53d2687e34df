import { useTranslation } from "react-i18next";
import type { Capability, HostDetail } from "../../contract";
import { type Column, Table } from "../../parts/table";
import { useWords } from "../../parts/words";

const ORDER: Capability["state"][] = ["missing", "degraded", "active"];

/** What the agent can see on this host, the gaps first. */
export function ProtectionTab({ host }: { host: HostDetail }) {
  const { t } = useTranslation();
  const words = useWords();
  const rows = host.capabilities.toSorted(
    (a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || a.id.localeCompare(b.id),
  );
  const columns: Column<Capability>[] = [
    {
      id: "name",
      title: t("capability.title"),
      width: 320,
      render: (it) => words.capability(it.id),
    },
    {
      id: "state",
      title: t("capability.state"),
      width: 160,
      render: (it) => (
        <span className="capability" data-state={it.state}>
          <span className="host-state-dot" aria-hidden="true" />
          {t(`capability.${it.state}`)}
        </span>
      ),
    },
    {
      id: "reason",
      title: t("capability.reason"),
      render: (it) => (
        <span className="cut" title={it.reason}>
          {it.reason || "—"}
        </span>
      ),
    },
  ];
  return (
    <Table
      name="capabilities"
      label={t("server.tab.protection")}
      columns={columns}
      source={{ rows, error: null, retry: () => {} }}
      rowKey={(it) => it.id}
      empty={{ title: t("capability.none"), hint: t("capability.none_hint") }}
    />
  );
}
