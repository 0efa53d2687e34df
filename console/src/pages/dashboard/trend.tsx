import { lazy, Suspense, useMemo } from "react";
import { useTranslation } from "react-i18next";
import type { Counts } from "../../contract";
import { formatDay } from "../../format";
import type { Line } from "../../parts/chart";
import { Panel } from "../../parts/panel";
import { Waiting } from "../../parts/states";
import { usePrefs } from "../../prefs";
import { KINDS } from "../../search";
import { palette } from "../../theme";

const Lines = lazy(() => import("../../parts/chart").then((it) => ({ default: it.Lines })));

const COLOURS = {
  asset_risk: "kindAsset",
  vulnerability: "kindVulnerability",
  unsafe_setting: "kindSetting",
  alarm: "kindAlarm",
} as const;
const DASHES: Record<(typeof KINDS)[number], Line["dash"]> = {
  asset_risk: "solid",
  vulnerability: "dashed",
  unsafe_setting: "dotted",
  alarm: [10, 3],
};

interface Props {
  title: string;
  days: ({ day: string } & Counts)[];
  className: string;
  /** The colours are explained once on the page. */
  legend?: boolean;
}

/** Findings a day, a line a kind. */
export function Trend({ title, days, className, legend = false }: Props) {
  const { t } = useTranslation();
  const { language, scheme } = usePrefs();
  const lines = useMemo(
    () =>
      KINDS.map((kind) => ({
        name: t(`kind.${kind}`),
        colour: palette(scheme)[COLOURS[kind]],
        dash: DASHES[kind],
        values: days.map((it) => it[kind]),
      })),
    [days, scheme, t],
  );
  const names = useMemo(() => days.map((it) => formatDay(it.day, language)), [days, language]);
  return (
    <Panel
      title={title}
      className={className}
      more={
        legend && (
          <ul className="legend" aria-hidden="true">
            {KINDS.map((kind) => (
              <li key={kind}>
                <span className="kind-line" data-kind={kind} />
                {t(`kind.${kind}`)}
              </li>
            ))}
          </ul>
        )
      }
    >
      <Suspense fallback={<Waiting lines={3} />}>
        <Lines label={title} days={names} lines={lines} scheme={scheme} />
      </Suspense>
    </Panel>
  );
}
