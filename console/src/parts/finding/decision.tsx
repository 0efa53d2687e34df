// What every dialog about a decision has: the remark, and what will then happen.
import { Form, Input } from "antd";
import { type ReactNode, useId } from "react";
import { useTranslation } from "react-i18next";
import type { Text } from "../../contract";
import { useText } from "../text";

const REMARK_MAX = 1_000;

interface RemarkProps {
  value: string;
  required: boolean;
  onChange: (remark: string) => void;
}

export function Remark({ value, required, onChange }: RemarkProps) {
  const { t } = useTranslation();
  const id = useId();
  return (
    <Form layout="vertical">
      <Form.Item label={required ? t("handle.remark") : t("handle.remark_optional")} htmlFor={id}>
        <Input.TextArea
          id={id}
          rows={2}
          maxLength={REMARK_MAX}
          value={value}
          placeholder={t("handle.remark_hint")}
          onChange={(event) => onChange(event.target.value)}
        />
      </Form.Item>
    </Form>
  );
}

export function Plan({ children }: { children: ReactNode }) {
  const { t } = useTranslation();
  return (
    <section className="plan" aria-label={t("handle.plan")} aria-live="polite">
      <h3>{t("handle.plan")}</h3>
      {children}
    </section>
  );
}

/** What it comes to, and each thing that follows. */
export function Effects({ summary, effects }: { summary: Text; effects: Text[] }) {
  const text = useText();
  return (
    <>
      <p>{text(summary)}</p>
      {effects.length > 0 && (
        <ul>
          {effects.map((effect) => (
            <li key={effect.en}>{text(effect)}</li>
          ))}
        </ul>
      )}
    </>
  );
}
