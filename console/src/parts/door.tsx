import type { ReactNode } from "react";
import { Logo } from "./logo";
import { LanguageSwitch, SchemeSwitch } from "./switches";

/** The frame of the pages outside the console: one card, and the two switches. */
export function Door(props: { title: string; hint?: string; children: ReactNode }) {
  return (
    <div className="door">
      <div className="door-switches">
        <LanguageSwitch />
        <SchemeSwitch />
      </div>
      <main className="door-card">
        <div className="door-logo">
          <Logo size={30} />
          <span>Garrison</span>
        </div>
        <h1>{props.title}</h1>
        {props.hint && <p className="muted">{props.hint}</p>}
        {props.children}
      </main>
    </div>
  );
}
