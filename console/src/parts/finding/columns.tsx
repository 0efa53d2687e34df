import { Button } from "antd";
import { useTranslation } from "react-i18next";
import type { FindingItem } from "../../contract";
import { formatNumber } from "../../format";
import { usePrefs } from "../../prefs";
import { HostLink } from "../host-link";
import { Mono } from "../mono";
import { SeverityMark } from "../severity";
import type { Column } from "../table";
import { useText } from "../text";
import { When } from "../when";
import { useWords } from "../words";
import { StatusMark } from "./status";

interface Options {
  /** On a server's own page its name would only repeat. */
  withHost: boolean;
  onHandle?: ((finding: FindingItem) => void) | undefined;
}

export function useFindingColumns({ withHost, onHandle }: Options): Column<FindingItem>[] {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const say = useText();
  const words = useWords();
  const columns: Column<FindingItem>[] = [
    {
      id: "severity",
      title: t("finding.severity"),
      width: 100,
      slim: 36,
      render: (it) => <SeverityMark severity={it.severity} />,
    },
    {
      id: "sentence",
      title: t("finding.sentence"),
      render: (it) => (
        <span className="cut" title={say(it.sentence)}>
          {say(it.sentence)}
        </span>
      ),
    },
    {
      id: "host",
      title: t("finding.host"),
      width: 140,
      render: (it) => <HostLink host={it.host} />,
    },
    {
      id: "category",
      title: t("finding.category"),
      width: 150,
      optional: true,
      render: (it) => words.category(it.category),
    },
    {
      id: "subject",
      title: t("finding.subject"),
      width: 150,
      render: (it) => <Mono text={it.subject} max={18} />,
    },
    {
      id: "count",
      title: t("finding.count"),
      width: 60,
      end: true,
      render: (it) => formatNumber(it.count, language),
    },
    {
      id: "first_at",
      title: t("finding.first_at"),
      width: 104,
      optional: true,
      render: (it) => <When at={it.first_at} />,
    },
    {
      id: "last_at",
      title: t("finding.last_at"),
      width: 96,
      slim: 74,
      render: (it) => <When at={it.last_at} />,
    },
    {
      id: "status",
      title: t("finding.status"),
      width: 112,
      render: (it) => <StatusMark finding={it} />,
    },
  ];
  if (onHandle) {
    columns.push({
      id: "handle",
      title: t("finding.action"),
      width: 82,
      render: (it) =>
        it.status === "unhandled" ? (
          <Button size="small" onClick={() => onHandle(it)}>
            {t("finding.handle")}
          </Button>
        ) : null,
    });
  }
  return withHost ? columns : columns.filter((it) => it.id !== "host");
}
