// A point in time as a person gives it, typed or picked: in the console's own language and always
// in the order of ISO 8601, whatever the browser's is.
import { DatePicker } from "antd";
import dayjs from "dayjs";
import "dayjs/locale/en-gb";
import "dayjs/locale/zh-cn";

/** Only whole: a day alone would count while the time is still being typed. */
const FORMAT = "YYYY-MM-DD HH:mm";

interface Props {
  label: string;
  value: string | undefined;
  /** What a picked day begins with; a span that ends on a day ends with it. */
  at: "start" | "end";
  onChange: (value: string | undefined) => void;
}

export function MomentInput({ label, value, at, onChange }: Props) {
  const today = dayjs();
  return (
    <DatePicker
      aria-label={label}
      placeholder={label}
      style={{ width: 172 }}
      format={FORMAT}
      value={value ? dayjs(value) : null}
      showTime={{
        format: "HH:mm",
        defaultOpenValue: at === "start" ? today.startOf("day") : today.endOf("day"),
      }}
      needConfirm={false}
      disabledDate={(it) => it.isAfter(today, "day")}
      onChange={(it) => onChange(it ? it.toISOString() : undefined)}
    />
  );
}
