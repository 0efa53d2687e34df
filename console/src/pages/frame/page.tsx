import {
  AlertOutlined,
  BarChartOutlined,
  CloudServerOutlined,
  DatabaseOutlined,
  MenuFoldOutlined,
  MenuUnfoldOutlined,
  RadarChartOutlined,
  SafetyOutlined,
  SettingOutlined,
} from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useNavigate } from "@tanstack/react-router";
import { Button, Tooltip } from "antd";
import { type ComponentType, useState } from "react";
import { useTranslation } from "react-i18next";
import { read } from "../../api";
import { formatNumber } from "../../format";
import { useKeys } from "../../keys";
import { LiveProvider } from "../../live";
import { HandlingProvider } from "../../parts/finding/handle";
import { Logo } from "../../parts/logo";
import { LanguageSwitch, SchemeSwitch } from "../../parts/switches";
import { setPrefs, usePrefs } from "../../prefs";
import { KeySheet } from "./key-sheet";
import { LiveDot } from "./live-dot";
import { PersonMenu } from "./person-menu";
import { GlobalSearch } from "./search";

interface Place {
  id: "dashboard" | "servers" | "assets" | "events" | "response" | "detections" | "settings";
  to: "/" | "/servers" | "/assets" | "/events" | "/response" | "/detections" | "/settings";
  icon: ComponentType;
}

/** The rail, in its order; only pages that exist stand here. */
const PLACES: Place[] = [
  { id: "dashboard", to: "/", icon: BarChartOutlined },
  { id: "servers", to: "/servers", icon: CloudServerOutlined },
  { id: "assets", to: "/assets", icon: DatabaseOutlined },
  { id: "events", to: "/events", icon: AlertOutlined },
  { id: "response", to: "/response", icon: SafetyOutlined },
  { id: "detections", to: "/detections", icon: RadarChartOutlined },
  { id: "settings", to: "/settings", icon: SettingOutlined },
];

/** A longer number has no room. */
const WAITING_SHOWN_MAX = 999;

export function FramePage() {
  const { t } = useTranslation();
  const { railNarrow } = usePrefs();
  const [sheet, setSheet] = useState(false);
  const navigate = useNavigate();
  useKeys({
    "g d": () => void navigate({ to: "/" }),
    "g s": () => void navigate({ to: "/servers" }),
    "g a": () => void navigate({ to: "/assets" }),
    "g e": () => void navigate({ to: "/events" }),
    "g r": () => void navigate({ to: "/response" }),
    "g t": () => void navigate({ to: "/detections" }),
    "?": () => setSheet(true),
  });

  return (
    <LiveProvider>
      <a className="skip" href="#content">
        {t("frame.skip")}
      </a>
      <div className={railNarrow ? "frame frame-narrow" : "frame"}>
        <Rail />
        <header className="top">
          <GlobalSearch />
          <div className="top-end">
            <LiveDot />
            <LanguageSwitch />
            <SchemeSwitch />
            <PersonMenu onKeys={() => setSheet(true)} />
          </div>
        </header>
        <main id="content" tabIndex={-1} className="content">
          <HandlingProvider>
            <Outlet />
          </HandlingProvider>
        </main>
      </div>
      <KeySheet open={sheet} onClose={() => setSheet(false)} />
    </LiveProvider>
  );
}

/** Intrusions nobody has decided about: the one thing in the rail that asks for somebody. */
function Waiting() {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const { data } = useQuery(read.counters({ kind: "alarm" }));
  const count = (data?.open ?? []).reduce((sum, it) => sum + it.count, 0);
  if (count === 0) return null;
  const shown = count > WAITING_SHOWN_MAX ? `${WAITING_SHOWN_MAX}+` : formatNumber(count, language);
  return (
    <span className="rail-count" title={t("frame.waiting", { count })}>
      {shown}
    </span>
  );
}

function Rail() {
  const { t } = useTranslation();
  const { railNarrow } = usePrefs();
  const fold = railNarrow ? t("frame.unfold") : t("frame.fold");
  return (
    <nav className="rail" aria-label={t("frame.main")}>
      <Link to="/" className="rail-logo" aria-label="Garrison">
        <Logo size={24} />
        <span className="rail-word">Garrison</span>
      </Link>
      {PLACES.map(({ id, to, icon: Icon }) => (
        <Tooltip key={id} title={railNarrow ? t(`frame.${id}`) : ""} placement="right">
          <Link
            to={to}
            className="rail-place"
            activeOptions={{ exact: to === "/", includeSearch: false }}
            aria-label={t(`frame.${id}`)}
          >
            <Icon />
            <span className="rail-word">{t(`frame.${id}`)}</span>
            {id === "events" && <Waiting />}
          </Link>
        </Tooltip>
      ))}
      <Tooltip title={fold} placement="right">
        <Button
          type="text"
          className="rail-fold"
          aria-label={fold}
          icon={railNarrow ? <MenuUnfoldOutlined /> : <MenuFoldOutlined />}
          onClick={() => setPrefs({ railNarrow: !railNarrow })}
        />
      </Tooltip>
    </nav>
  );
}
