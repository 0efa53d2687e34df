import { InputNumber, Select, Space } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";

const UNITS = { s: 1, min: 60, h: 3_600, d: 86_400 } as const;
type Unit = keyof typeof UNITS;
const unitOf = (seconds: number): Unit =>
  (["d", "h", "min"] as const).find((it) => seconds >= UNITS[it] && seconds % UNITS[it] === 0) ??
  "s";

export interface SpanProps {
  label: string;
  seconds: number;
  min: number;
  max: number;
  id?: string;
  disabled?: boolean;
  onChange: (seconds: number) => void;
}

/** A span in the unit that says it shortest; the person may choose another. */
export function SpanInput(props: SpanProps) {
  const { label, seconds, min, max, id, disabled = false, onChange } = props;
  const { t } = useTranslation();
  const [unit, setUnit] = useState<Unit>(unitOf(seconds));
  const size = UNITS[unit];
  return (
    <Space.Compact>
      <InputNumber
        aria-label={label}
        {...(id && { id })}
        disabled={disabled}
        precision={0}
        style={{ width: 80 }}
        min={Math.ceil(min / size)}
        max={Math.floor(max / size)}
        value={seconds / size}
        onChange={(it) => it !== null && onChange(it * size)}
      />
      <Select<Unit>
        aria-label={t("policy.unit_of", { name: label })}
        disabled={disabled}
        style={{ width: 78 }}
        value={unit}
        options={(Object.keys(UNITS) as Unit[])
          .filter((it) => UNITS[it] <= max)
          .map((it) => ({ value: it, label: t(`policy.unit.${it}`) }))}
        onChange={(next) => {
          const count = Math.max(1, Math.round(seconds / UNITS[next]));
          setUnit(next);
          onChange(Math.min(Math.max(count * UNITS[next], min), max));
        }}
      />
    </Space.Compact>
  );
}
