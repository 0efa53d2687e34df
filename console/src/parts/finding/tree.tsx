// The process tree of an alarm, from the oldest ancestor down to the guilty process.
import { useTranslation } from "react-i18next";
import type { Evidence } from "../../contract";
import { Mono } from "../mono";
import { When } from "../when";
import { Origin, originOf } from "./origin";

type Chain = Extract<Evidence, { type: "processes" }>["chain"];

/** The data begin with the process itself; a reader begins with who started it all. */
export function ProcessTree({ chain, knownBad }: { chain: Chain; knownBad: boolean }) {
  const { t } = useTranslation();
  const rows = chain.toReversed();
  const marked = rows.some((it) => it.is_subject);
  return (
    <ol className="tree">
      {rows.map((it, depth) => {
        const guilty = marked ? it.is_subject === true : depth === rows.length - 1;
        const before = rows[depth - 1]?.user;
        const became = before !== undefined && before !== it.user;
        return (
          <li
            key={`${it.pid} ${it.started_at}`}
            className="tree-node"
            data-guilty={guilty || undefined}
            style={{ marginInlineStart: Math.min(depth, DEPTH_MAX) * INDENT_PX }}
          >
            <div className="tree-head">
              <b>{nameOf(it.executable)}</b>
              {guilty && <span className="tree-mark">{t("evidence.subject")}</span>}
              <span className="muted">{t("evidence.pid", { pid: it.pid })}</span>
              <span className={became ? "tree-became" : "muted"}>
                {became ? t("evidence.became", { before, after: it.user }) : it.user}
              </span>
              <span className="muted">
                <When at={it.started_at} />
              </span>
              <Origin
                origin={originOf(it, guilty && knownBad)}
                {...(it.package && { name: it.package })}
              />
            </div>
            {it.command && <code>{it.command}</code>}
            <div className="tree-foot">
              <Mono text={it.executable} max={70} />
              {it.sha256 && <Mono text={it.sha256} max={19} />}
            </div>
          </li>
        );
      })}
    </ol>
  );
}

const INDENT_PX = 20;
/** Deeper ones stay here, or the text would have no room. */
const DEPTH_MAX = 10;

const nameOf = (path: string): string => path.split("/").at(-1) || path;
