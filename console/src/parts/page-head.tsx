import type { ReactNode } from "react";
import { useEffect } from "react";

interface Props {
  title: string;
  /** Beside the title: how many, as of when. */
  note?: ReactNode;
  children?: ReactNode;
}

export function PageHead({ title, note, children }: Props) {
  useTitle(title);
  return (
    <div className="page-head">
      <h1>{title}</h1>
      {note && <span className="muted">{note}</span>}
      {children && <div className="page-actions">{children}</div>}
    </div>
  );
}

/** What the browser tab says. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Garrison`;
  }, [title]);
}
