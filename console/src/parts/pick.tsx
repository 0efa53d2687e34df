import { Select } from "antd";

interface Props {
  label: string;
  value: string | undefined;
  choices: { value: string; label: string }[];
  onPick: (value: string | undefined) => void;
  width?: number;
  search?: boolean;
}

/** One filter of a list: empty means everything, and says what it filters. */
export function Pick({ label, value, choices, onPick, width = 140, search = false }: Props) {
  return (
    <Select
      aria-label={label}
      placeholder={label}
      allowClear
      value={value ?? null}
      options={choices}
      style={{ width }}
      showSearch={search ? { optionFilterProp: "label" } : false}
      popupMatchSelectWidth={false}
      onChange={(next: string | null) => onPick(next ?? undefined)}
    />
  );
}
