import { Button, Skeleton } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useProblemText } from "./problem";

/** Stands where data will: as many lines as the real thing has. */
export function Waiting({ lines = 6 }: { lines?: number }) {
  const { t } = useTranslation();
  return (
    <div className="waiting" role="status" aria-label={t("state.loading")}>
      <Skeleton active title={false} paragraph={{ rows: lines }} />
    </div>
  );
}

export function Failed({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  const { t } = useTranslation();
  const say = useProblemText();
  return (
    <div className="state" role="alert">
      <strong>{t("state.failed")}</strong>
      <span className="muted">{say(error)}</span>
      <Button onClick={onRetry}>{t("state.retry")}</Button>
    </div>
  );
}

/** Says what would stand here, and offers what makes it appear. */
export function Nothing(props: { title: string; hint?: string | undefined; children?: ReactNode }) {
  return (
    <div className="state">
      <strong>{props.title}</strong>
      {props.hint && <span className="muted">{props.hint}</span>}
      {props.children}
    </div>
  );
}

interface Loadable<T> {
  data: T | undefined;
  error: unknown;
  refetch: () => unknown;
}

/** The data, or the state that stands in its place. Data that is there stays through a failed refresh. */
export function Loaded<T>(props: {
  query: Loadable<T>;
  lines?: number;
  children: (data: T) => ReactNode;
}) {
  const { query, lines, children } = props;
  if (query.data !== undefined) return children(query.data);
  if (query.error) return <Failed error={query.error} onRetry={() => void query.refetch()} />;
  return <Waiting {...(lines !== undefined && { lines })} />;
}
