import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import type { Counts, FindingKind } from "../contract";
import { formatNumber } from "../format";
import { usePrefs } from "../prefs";

/** How many unhandled findings of one kind a server has: a door to them. */
export function KindCount(props: { counts: Counts; kind: FindingKind; host: string }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const count = props.counts[props.kind];
  if (count === 0) return <span className="muted">0</span>;
  return (
    <Link
      to="/events"
      search={{ kind: props.kind, status: "unhandled", host: props.host }}
      aria-label={t("servers.count_label", { count, kind: t(`kind.${props.kind}`) })}
    >
      {formatNumber(count, language)}
    </Link>
  );
}
