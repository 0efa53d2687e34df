import { useQuery } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { Button, Segmented } from "antd";
import { useTranslation } from "react-i18next";
import { read } from "../../api";
import { useLiveState } from "../../live";
import { PageHead } from "../../parts/page-head";
import { Loaded } from "../../parts/states";
import { When } from "../../parts/when";
import { Cards } from "./cards";
import { Intrusions } from "./intrusions";
import { Latest } from "./latest";
import { ProtectionPanel } from "./protection";
import { TopHosts } from "./top-hosts";
import { Trend } from "./trend";

const route = getRouteApi("/frame/");

export function DashboardPage() {
  const { t } = useTranslation();
  const { days = "7" } = route.useSearch();
  const navigate = useNavigate({ from: "/" });
  const dashboard = useQuery({
    ...read.dashboard(days === "30" ? 30 : 7),
    placeholderData: (before) => before,
  });
  const live = useLiveState();
  const old = dashboard.data !== undefined && (live === "lost" || dashboard.error !== null);

  return (
    <div className="page dashboard">
      <PageHead
        title={t("frame.dashboard")}
        note={
          old && (
            <span role="status">
              {t("state.as_of")} <When at={dashboard.data?.as_of} />{" "}
              <Button size="small" onClick={() => void dashboard.refetch()}>
                {t("state.retry")}
              </Button>
            </span>
          )
        }
      >
        <Segmented
          aria-label={t("events.span")}
          value={days}
          options={[
            { value: "7", label: t("span.7d") },
            { value: "30", label: t("span.30d") },
          ]}
          onChange={(next) =>
            void navigate({ search: { days: next === "30" ? "30" : "7" }, replace: true })
          }
        />
      </PageHead>
      <Loaded query={dashboard} lines={16}>
        {(it) => (
          <div className="board">
            <Cards dashboard={it} />
            <Trend title={t("dashboard.trend")} days={it.trend} className="board-trend" legend />
            <ProtectionPanel protection={it.protection} />
            <Trend title={t("dashboard.handled")} days={it.handled} className="board-handled" />
            <Intrusions
              intrusions={it.intrusions}
              techniques={it.techniques}
              held={it}
              days={days}
            />
            <TopHosts hosts={it.top_hosts} />
            <Latest />
          </div>
        )}
      </Loaded>
    </div>
  );
}
