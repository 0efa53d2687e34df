import type { ReactNode } from "react";

interface Fact {
  name: string;
  value: ReactNode;
  /** Has a row of its own where others share one. */
  wide?: boolean;
}

/** Names and values in two columns. */
export function Facts({ facts }: { facts: Fact[] }) {
  return (
    <dl className="facts">
      {facts.map((it) => (
        <div key={it.name} data-wide={it.wide || undefined}>
          <dt>{it.name}</dt>
          <dd>{it.value}</dd>
        </div>
      ))}
    </dl>
  );
}
