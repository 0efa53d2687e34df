// A scan from the button to its last item, followed on the live feed.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, App, Progress } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../api";
import type { Scan, ScanItemState } from "../../contract";
import { formatNumber } from "../../format";
import { useLive } from "../../live";
import { useBecause } from "../../parts/because";
import { useProblemText } from "../../parts/problem";
import { useText } from "../../parts/text";
import { usePrefs } from "../../prefs";

const POLL_MS = 2_000;

export interface RunningScan {
  scan: Scan | undefined;
  running: boolean;
  start: () => void;
}

export function useScan(host: string): RunningScan {
  const queries = useQueryClient();
  const { message } = App.useApp();
  const say = useProblemText();
  const [id, setId] = useState<string>();
  const start = useMutation({
    mutationFn: () => act.scanHost(host),
    onSuccess: (scan) => setId(scan.id),
    onError: (error) => void message.error(say(error)),
  });
  const scan = useQuery({
    ...read.scan(id ?? ""),
    enabled: id !== undefined,
    // The live feed tells sooner; this is for when it is cut.
    refetchInterval: ({ state }) => (state.data?.finished_at ? false : POLL_MS),
  });
  useLive("scan", (event) => {
    if (event.host !== host) return;
    setId(event.id);
    queries.setQueryData(
      read.scan(event.id).queryKey,
      (before) => before && { ...before, items: event.items },
    );
  });
  const running = start.isPending || (id !== undefined && !scan.data?.finished_at && !scan.error);
  return { scan: scan.data, running, start: () => start.mutate() };
}

const ENDED: ScanItemState[] = ["done", "partial", "failed"];

export function ScanProgress({ scan: { scan } }: { scan: RunningScan }) {
  const { t } = useTranslation();
  const because = useBecause();
  if (!scan) return null;
  if (scan.refused)
    return (
      <Alert
        type="error"
        showIcon
        title={t("scan.refused", { reason: because(scan.refused, scan.why) })}
      />
    );
  const done = scan.items.filter((it) => ENDED.includes(it.state)).length;
  const total = Math.max(scan.items.length, 1);
  return (
    <section className="scan" aria-label={t("scan.title")}>
      <div className="scan-line">
        <span>
          {scan.finished_at
            ? t("scan.finished", { count: scan.items.length })
            : scan.items.length === 0
              ? t("scan.waiting")
              : t("scan.running", { done, total: scan.items.length })}
        </span>
        <Progress
          percent={scan.finished_at ? 100 : Math.round((done / total) * 100)}
          size="small"
          status={scan.items.some((it) => it.state === "failed") ? "exception" : "normal"}
          aria-label={t("scan.title")}
        />
      </div>
      <ScanItems scan={scan} />
    </section>
  );
}

export function ScanItems({ scan }: { scan: Scan }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const say = useText();
  const because = useBecause();
  const { data: kinds } = useQuery(read.assetKinds());
  const name = (item: string) => {
    const spec = kinds?.items.find((it) => it.spec.kind === item.replace(/^asset[.:/]/, ""))?.spec;
    return spec ? say(spec.title) : item;
  };
  return (
    <ul className="scan-items">
      {scan.items.map((it) => (
        <li key={it.item} data-state={it.state} title={because(it.reason, it.why) || undefined}>
          <span className="scan-dot" aria-hidden="true" />
          {name(it.item)}
          <span className="muted">
            {ENDED.includes(it.state) && it.state !== "failed"
              ? formatNumber(it.rows, language)
              : t(`scan.state.${it.state}`)}
          </span>
          {it.state === "partial" && <span className="muted">{t("scan.state.partial")}</span>}
          {it.reason && <span className="muted">{because(it.reason, it.why)}</span>}
        </li>
      ))}
    </ul>
  );
}
