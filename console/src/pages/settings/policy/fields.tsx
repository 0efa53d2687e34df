// The few kinds of fields that policies are made of.
import { Alert, InputNumber, Select, Switch } from "antd";
import { createContext, type ReactNode, useContext, useId } from "react";
import { SpanInput, type SpanProps } from "../../../parts/span-input";

/** Whether the person may only look. */
const Locked = createContext(false);
export const LockProvider = Locked;
export const useLocked = (): boolean => useContext(Locked);

export function Group(props: { title: string; about?: string; children: ReactNode }) {
  return (
    <section className="policy-group">
      <h3>{props.title}</h3>
      {props.about && <p className="muted">{props.about}</p>}
      {props.children}
    </section>
  );
}

interface LineProps {
  label: string;
  about?: string;
  id: string;
  children: ReactNode;
}

/** A name with what it means on the left, its field on the right. */
function Line({ label, about, id, children }: LineProps) {
  return (
    <div className="policy-line">
      <div>
        <label htmlFor={id}>{label}</label>
        {about && <p className="muted">{about}</p>}
      </div>
      <div className="policy-field">{children}</div>
    </div>
  );
}

interface AmountProps {
  label: string;
  about?: string;
  value: number;
  min: number;
  max: number;
  onChange: (value: number) => void;
}

export function Amount({ label, about, value, min, max, onChange }: AmountProps) {
  const id = useId();
  return (
    <Line label={label} id={id} {...(about && { about })}>
      <InputNumber
        id={id}
        disabled={useLocked()}
        precision={0}
        min={min}
        max={max}
        value={value}
        onChange={(it) => it !== null && onChange(it)}
      />
    </Line>
  );
}

export function Span({ about, ...props }: Omit<SpanProps, "id" | "disabled"> & { about?: string }) {
  const id = useId();
  return (
    <Line label={props.label} id={id} {...(about && { about })}>
      <SpanInput {...props} id={id} disabled={useLocked()} />
    </Line>
  );
}

interface ToggleProps {
  label: string;
  about: string;
  value: boolean;
  onChange: (value: boolean) => void;
}

export function Toggle({ label, about, value, onChange }: ToggleProps) {
  const id = useId();
  return (
    <Line label={label} about={about} id={id}>
      <Switch id={id} disabled={useLocked()} checked={value} onChange={onChange} />
    </Line>
  );
}

interface WordsProps {
  label: string;
  hint: string;
  values: string[];
  onChange: (values: string[]) => void;
}

export function Words({ label, hint, values, onChange }: WordsProps) {
  const id = useId();
  return (
    <div className="words">
      <label htmlFor={id}>{label}</label>
      <Select
        id={id}
        mode="tags"
        open={false}
        suffixIcon={null}
        disabled={useLocked()}
        tokenSeparators={[",", " ", ";"]}
        placeholder={hint}
        value={values}
        onChange={onChange}
      />
    </div>
  );
}

export function Warning({ children }: { children: string }) {
  return <Alert type="warning" showIcon title={children} />;
}
