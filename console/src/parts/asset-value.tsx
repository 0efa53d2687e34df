// One cell of an asset table, drawn by what its column says it holds.
import { useTranslation } from "react-i18next";
import type { ColumnForm } from "../contract";
import { formatBytes } from "../format";
import { usePrefs } from "../prefs";
import { Mono } from "./mono";
import { When } from "./when";
import { useWords } from "./words";

const LEVELS = ["dangerous", "attention", "safe", "unknown"] as const;

interface Props {
  /** Of the column: some have a fixed vocabulary. */
  name: string;
  value: unknown;
  form: ColumnForm;
  /** Longest text before its middle is cut. */
  max?: number | undefined;
}

export function AssetValue({ name, value, form, max = 44 }: Props) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const words = useWords();
  if (value === null || value === undefined || value === "")
    return (
      <span className="muted" title={t("asset.unknown")}>
        —
      </span>
    );
  if (Array.isArray(value)) {
    const text = value.map(plain).join(", ");
    return value.length === 0 ? (
      <span className="muted">{t("asset.none")}</span>
    ) : (
      <span className="cut mono" title={text}>
        {text}
      </span>
    );
  }
  if (typeof value === "boolean") return t(value ? "asset.yes" : "asset.no");
  if (typeof value === "number") {
    if (form === "bytes") return formatBytes(value, language);
    // Most integers here are ports, process and user numbers: names, without thousands marks.
    return String(value);
  }
  if (form === "time" && typeof value === "string") return <When at={value} />;
  if (form === "level") return <Level level={plain(value)} />;
  const text = plain(value);
  if (form === "path" || form === "hash" || form === "address")
    return <Mono text={text} max={max} />;
  const shown = words.value(name, text);
  return (
    <span className="cut" title={shown}>
      {shown}
    </span>
  );
}

function Level({ level }: { level: string }) {
  const { t } = useTranslation();
  const known = LEVELS.find((it) => it === level);
  return (
    <span className="level" data-level={known ?? "unknown"}>
      {known ? t(`level.${known}`) : level}
    </span>
  );
}

export const plain = (value: unknown): string =>
  typeof value === "string" ? value : (JSON.stringify(value) ?? "");
