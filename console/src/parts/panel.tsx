import { type ReactNode, useId } from "react";

interface Props {
  title: string;
  /** At the end of the title line. */
  more?: ReactNode;
  className?: string;
  children: ReactNode;
}

/** A titled card. */
export function Panel({ title, more, className, children }: Props) {
  const id = useId();
  return (
    <section className={className ? `panel ${className}` : "panel"} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {more}
      </header>
      {children}
    </section>
  );
}
