import { useTranslation } from "react-i18next";
import type { Severity } from "../contract";

/** One shape each, so that nobody needs the colours: octagon, triangle, square, circle. */
const SHAPES: Record<Severity, string> = {
  critical: "M4.9 1h6.2L15 4.9v6.2L11.1 15H4.9L1 11.1V4.9z",
  high: "M8 1.2 15.4 14.4H.6z",
  medium: "M8 .8 15.2 8 8 15.2.8 8z",
  low: "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2z",
};

export function SeverityShape({ severity }: { severity: Severity }) {
  return (
    <svg width="12" height="12" viewBox="0 0 16 16" aria-hidden="true" className="severity-shape">
      <path d={SHAPES[severity]} fill={`var(--${severity})`} />
    </svg>
  );
}

export function SeverityMark({ severity }: { severity: Severity }) {
  const { t } = useTranslation();
  return (
    <span className="severity" data-severity={severity}>
      <SeverityShape severity={severity} />
      <span className="severity-word">{t(`severity.${severity}`)}</span>
    </span>
  );
}
