import { SearchOutlined } from "@ant-design/icons";
import { Input } from "antd";
import { useEffect, useRef, useState } from "react";

const SETTLE_MS = 250;

interface Props {
  label: string;
  value: string | undefined;
  onSettle: (value: string | undefined) => void;
  width?: number;
}

/** A text filter that writes the URL once the typing pauses. */
export function TextFilter({ label, value, onSettle, width = 220 }: Props) {
  const [typed, setTyped] = useState(value ?? "");
  const settle = useRef(onSettle);
  const written = useRef(value ?? "");
  useEffect(() => {
    settle.current = onSettle;
  });
  useEffect(() => {
    // The URL changed from outside, by a link or the back button.
    if ((value ?? "") === written.current) return;
    written.current = value ?? "";
    setTyped(value ?? "");
  }, [value]);
  useEffect(() => {
    const text = typed.trim();
    if (text === written.current) return;
    const timer = setTimeout(() => {
      written.current = text;
      settle.current(text || undefined);
    }, SETTLE_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return (
    <Input
      allowClear
      style={{ width }}
      prefix={<SearchOutlined />}
      placeholder={label}
      aria-label={label}
      value={typed}
      onChange={(event) => setTyped(event.target.value)}
    />
  );
}
