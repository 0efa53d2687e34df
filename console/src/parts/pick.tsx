import { Select } from "antd";

interface Props<V extends string> {
  label: string;
  value: V | undefined;
  choices: { value: V; label: string }[];
  onPick: (value: V | undefined) => void;
  width?: number;
  search?: boolean;
}

/** One filter of a list: empty means everything, and says what it filters. */
export function Pick<V extends string>(props: Props<V>) {
  const { label, value, choices, onPick, width = 140, search = false } = props;
  return (
    <Select<V | null>
      aria-label={label}
      placeholder={label}
      allowClear
      value={value ?? null}
      options={choices}
      style={{ width }}
      showSearch={search ? { optionFilterProp: "label" } : false}
      popupMatchSelectWidth={false}
      onChange={(next) => onPick(next ?? undefined)}
    />
  );
}
