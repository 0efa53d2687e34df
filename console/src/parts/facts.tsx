import type { ReactNode } from "react";

interface Fact {
  name: string;
  value: ReactNode;
}

/** Names and values in two columns. */
export function Facts({ facts }: { facts: Fact[] }) {
  return (
    <dl className="facts">
      {facts.map((it) => (
        <div key={it.name}>
          <dt>{it.name}</dt>
          <dd>{it.value}</dd>
        </div>
      ))}
    </dl>
  );
}
