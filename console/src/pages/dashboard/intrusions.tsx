import { Link } from "@tanstack/react-router";
import { lazy, Suspense, useMemo } from "react";
import { useTranslation } from "react-i18next";
import type { Dashboard } from "../../contract";
import { formatNumber } from "../../format";
import { Panel } from "../../parts/panel";
import { Nothing, Waiting } from "../../parts/states";
import { useWords } from "../../parts/words";
import { usePrefs } from "../../prefs";
import { palette } from "../../theme";

const Ring = lazy(() => import("../../parts/chart").then((it) => ({ default: it.Ring })));
const SHOWN_MAX = 5;
const TECHNIQUES_MAX = 3;

interface Props {
  intrusions: Dashboard["intrusions"];
  techniques: Dashboard["techniques"];
  held: Pick<Dashboard, "blocked" | "isolated">;
  days: "7" | "30";
}

export function Intrusions({ intrusions, techniques, held, days }: Props) {
  const { t } = useTranslation();
  const { language, scheme } = usePrefs();
  const words = useWords();
  const colours = palette(scheme);
  const wheel = [
    colours.kindAlarm,
    colours.kindAsset,
    colours.kindSetting,
    colours.kindVulnerability,
    colours.medium,
    colours.low,
  ];
  const shown = useMemo(() => intrusions.slice(0, SHOWN_MAX), [intrusions]);
  const left = intrusions.slice(SHOWN_MAX).reduce((sum, it) => sum + it.count, 0);
  const slices = shown.map((it, index) => ({
    name: words.category(it.category),
    value: it.count,
    colour: wheel[index] ?? colours.muted,
  }));
  if (left > 0) slices.push({ name: t("dashboard.other"), value: left, colour: colours.muted });
  const span = days === "30" ? ("30d" as const) : ("7d" as const);

  return (
    <Panel title={t("dashboard.intrusions")} className="board-intrusions">
      {intrusions.length === 0 ? (
        <Nothing title={t("dashboard.no_intrusions")} hint={t("dashboard.no_intrusions_hint")} />
      ) : (
        <div className="ring-row">
          <div className="ring ring-small">
            <Suspense fallback={<Waiting lines={3} />}>
              <Ring label={t("dashboard.intrusions")} scheme={scheme} slices={slices} />
            </Suspense>
          </div>
          <ul className="kind-list">
            {shown.map((it, index) => (
              <li key={it.category}>
                <span className="swatch" style={{ background: wheel[index] }} aria-hidden="true" />
                <Link
                  to="/events"
                  search={{ kind: "alarm", category: it.category, span }}
                  className="cut"
                  title={words.category(it.category)}
                >
                  {words.category(it.category)}
                </Link>
                <b>{formatNumber(it.count, language)}</b>
              </li>
            ))}
          </ul>
        </div>
      )}
      <div className="held">
        <Techniques techniques={techniques} span={span} />
        <Held held={held} />
      </div>
    </Panel>
  );
}

interface TechniquesProps {
  techniques: Dashboard["techniques"];
  span: "7d" | "30d";
}

/** What attackers do most, by MITRE ATT&CK. */
function Techniques({ techniques, span }: TechniquesProps) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  if (techniques.length === 0) return null;
  return (
    <ul className="techniques" aria-label={t("dashboard.techniques")}>
      {techniques.slice(0, TECHNIQUES_MAX).map((it) => (
        <li key={it.technique}>
          <Link
            to="/events"
            search={{ kind: "alarm", technique: it.technique, span }}
            className="mono"
          >
            {it.technique}
          </Link>{" "}
          <b>{formatNumber(it.count, language)}</b>
        </li>
      ))}
    </ul>
  );
}

/** What is held off and put away right now. */
function Held({ held }: Pick<Props, "held">) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  return (
    <ul className="held-now">
      <li>
        <Link to="/response/$section" params={{ section: "blocked" }} search={{ state: "active" }}>
          {t("dashboard.blocked", {
            count: held.blocked,
            shown: formatNumber(held.blocked, language),
          })}
        </Link>
      </li>
      <li>
        <Link
          to="/response/$section"
          params={{ section: "isolated" }}
          search={{ state: "isolated" }}
        >
          {t("dashboard.isolated", {
            count: held.isolated,
            shown: formatNumber(held.isolated, language),
          })}
        </Link>
      </li>
    </ul>
  );
}
