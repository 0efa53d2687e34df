// The whole look: colours, shapes and sizes of both schemes, for Ant Design, our own
// style sheet (as custom properties) and the charts.
import { theme as antd, type ThemeConfig } from "antd";

export type Scheme = "light" | "dark";

const SANS =
  'Inter, "Segoe UI", system-ui, -apple-system, "Noto Sans", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif';
const MONO =
  '"JetBrains Mono", ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';

const light = {
  ground: "#f4f6f8",
  surface: "#ffffff",
  sunken: "#eef1f5",
  line: "#dde2e9",
  text: "#18202c",
  muted: "#566072",
  primary: "#1f4e8c",
  primarySoft: "#e6eef8",
  good: "#1a7048",
  goodSoft: "#e2f3ea",
  critical: "#a8071a",
  high: "#b94700",
  medium: "#856000",
  low: "#46608f",
  kindAsset: "#2b6cb0",
  kindVulnerability: "#7c4bb8",
  kindSetting: "#0c7f72",
  kindAlarm: "#b8322a",
};

type Palette = typeof light;

const dark: Palette = {
  ground: "#11161d",
  surface: "#191f28",
  sunken: "#141a22",
  line: "#2d3643",
  text: "#e4e9f0",
  muted: "#9aa6b8",
  primary: "#78a9e6",
  primarySoft: "#1f3048",
  good: "#58c28c",
  goodSoft: "#17342a",
  critical: "#ff8078",
  high: "#fa9a4a",
  medium: "#dfb545",
  low: "#94aede",
  kindAsset: "#66a6ea",
  kindVulnerability: "#b48cf0",
  kindSetting: "#3cbcab",
  kindAlarm: "#f2786e",
};

export const palette = (scheme: Scheme): Palette => (scheme === "dark" ? dark : light);

export function antTheme(scheme: Scheme): ThemeConfig {
  const it = palette(scheme);
  return {
    algorithm: scheme === "dark" ? antd.darkAlgorithm : antd.defaultAlgorithm,
    token: {
      colorPrimary: it.primary,
      colorLink: it.primary,
      colorInfo: it.primary,
      colorSuccess: it.good,
      colorWarning: it.high,
      colorError: it.critical,
      colorBgLayout: it.ground,
      colorBgContainer: it.surface,
      colorBgElevated: it.surface,
      colorText: it.text,
      colorTextSecondary: it.muted,
      colorTextDescription: it.muted,
      colorTextTertiary: it.muted,
      colorTextPlaceholder: it.muted,
      colorBorder: it.line,
      colorBorderSecondary: it.line,
      colorTextLightSolid: scheme === "dark" ? "#10151c" : "#ffffff",
      borderRadius: 6,
      fontFamily: SANS,
      fontFamilyCode: MONO,
      fontSize: 13,
      controlHeight: 30,
      motion: !matchMedia("(prefers-reduced-motion: reduce)").matches,
      motionDurationMid: "0.12s",
      motionDurationSlow: "0.16s",
    },
    components: {
      Button: { primaryShadow: "none", defaultShadow: "none", dangerShadow: "none" },
      Table: {
        headerBg: it.sunken,
        headerColor: it.muted,
        headerSplitColor: "transparent",
        rowHoverBg: it.sunken,
        rowSelectedBg: it.primarySoft,
        rowSelectedHoverBg: it.primarySoft,
        cellPaddingBlockSM: 7,
        cellPaddingInlineSM: 10,
      },
      Tabs: { horizontalMargin: "0 0 12px 0", titleFontSize: 13 },
      Tooltip: { colorTextLightSolid: "#ffffff", colorBgSpotlight: "#2a3442" },
      Drawer: { paddingLG: 20 },
    },
  };
}

/** Writes the palette to the document, where the style sheets read it. */
export function applyScheme(scheme: Scheme): void {
  const root = document.documentElement;
  root.dataset.scheme = scheme;
  root.style.colorScheme = scheme;
  for (const [name, value] of Object.entries(palette(scheme))) {
    root.style.setProperty(`--${name}`, value);
  }
  root.style.setProperty("--sans", SANS);
  root.style.setProperty("--mono", MONO);
}
