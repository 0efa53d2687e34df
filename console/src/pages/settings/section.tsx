import type { ReactNode } from "react";

interface Props {
  title: string;
  about: string;
  action?: ReactNode;
  children: ReactNode;
}

export function SectionHead({ title, about, action }: Omit<Props, "children">) {
  return (
    <div className="section-head">
      <div>
        <h2>{title}</h2>
        <p className="muted">{about}</p>
      </div>
      {action}
    </div>
  );
}

/** A section of forms, which scrolls; sections of one table bring their own scrolling. */
export function Section({ children, ...head }: Props) {
  return (
    <div className="section">
      <SectionHead {...head} />
      {children}
    </div>
  );
}
