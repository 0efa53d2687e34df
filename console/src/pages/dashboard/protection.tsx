import { Link } from "@tanstack/react-router";
import { lazy, Suspense } from "react";
import { useTranslation } from "react-i18next";
import type { Dashboard } from "../../contract";
import { formatNumber, formatPercent } from "../../format";
import { Panel } from "../../parts/panel";
import { Waiting } from "../../parts/states";
import { useWords } from "../../parts/words";
import { usePrefs } from "../../prefs";
import { palette } from "../../theme";

const Ring = lazy(() => import("../../parts/chart").then((it) => ({ default: it.Ring })));
const BLIND_SHOWN = 2;
const STATES = ["protected", "degraded", "unprotected"] as const;

export function ProtectionPanel({ protection }: { protection: Dashboard["protection"] }) {
  const { t } = useTranslation();
  const { language, scheme } = usePrefs();
  const words = useWords();
  const colours = palette(scheme);
  const colour = {
    protected: colours.good,
    degraded: colours.medium,
    unprotected: colours.critical,
  };
  const { total } = protection;
  return (
    <Panel
      title={t("dashboard.protection")}
      className="board-protection"
      more={
        <Link to="/servers">
          {t("dashboard.servers", { count: total, shown: formatNumber(total, language) })}
        </Link>
      }
    >
      <div className="ring-row">
        <div className="ring">
          <Suspense fallback={<Waiting lines={3} />}>
            <Ring
              label={t("dashboard.protection")}
              scheme={scheme}
              slices={STATES.map((it) => ({
                name: t(`protection.${it}`),
                value: protection[it],
                colour: colour[it],
              }))}
            />
          </Suspense>
          <span className="ring-middle">
            {total === 0
              ? "—"
              : formatPercent(Math.floor((protection.protected / total) * 100) / 100, language)}
            <small>{t("protection.protected")}</small>
          </span>
        </div>
        <ul className="kind-list">
          {STATES.map((it) => (
            <li key={it}>
              <span className="host-state" data-protection={it}>
                <span className="host-state-dot" aria-hidden="true" />
              </span>
              <Link to="/servers" search={{ protection: it }}>
                {t(`protection.${it}`)}
              </Link>
              <b>{formatNumber(protection[it], language)}</b>
            </li>
          ))}
          <li>
            <span className="host-state" data-connection="offline">
              <span className="host-state-dot" aria-hidden="true" />
            </span>
            <Link to="/servers" search={{ connection: "offline" }}>
              {t("connection.offline")}
            </Link>
            <b>{formatNumber(protection.offline, language)}</b>
          </li>
        </ul>
      </div>
      {protection.blind_spots.length > 0 && (
        <div className="blind">
          <Link to="/servers" search={{ protection: "degraded" }}>
            {t("dashboard.blind_spots", { count: protection.blind_spots.length })}
          </Link>
          <ul>
            {protection.blind_spots.slice(0, BLIND_SHOWN).map((it) => (
              <li key={it.capability}>
                <span className="cut" title={words.capability(it.capability)}>
                  {words.capability(it.capability)}
                </span>
                <span className="muted">
                  {t("asset.on_hosts", {
                    count: it.hosts,
                    hosts: formatNumber(it.hosts, language),
                  })}
                </span>
              </li>
            ))}
          </ul>
        </div>
      )}
    </Panel>
  );
}
