import { ArrowLeftOutlined } from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { Tabs } from "antd";
import { useTranslation } from "react-i18next";
import { read } from "../../api";
import type { HostDetail } from "../../contract";
import { ChangeTable } from "../../parts/change-list";
import { FindingList } from "../../parts/finding/list";
import { Loaded } from "../../parts/states";
import { SERVER_TABS } from "../../search";
import { Activity } from "./activity";
import { HostAssets } from "./assets";
import { HostHead } from "./head";
import { Overview } from "./overview";
import { ProtectionTab } from "./protection";

const route = getRouteApi("/frame/servers/$host");

export function ServerPage() {
  const { t } = useTranslation();
  const { host: id } = route.useParams();
  const { tab = "overview" } = route.useSearch();
  const navigate = useNavigate({ from: "/servers/$host" });
  const host = useQuery(read.host(id));
  return (
    <div className="page">
      <Link to="/servers" className="back">
        <ArrowLeftOutlined /> {t("frame.servers")}
      </Link>
      <Loaded query={host} lines={14}>
        {(it) => (
          <>
            <HostHead host={it} />
            <Tabs
              activeKey={tab}
              onChange={(next) =>
                void navigate({
                  search: { tab: SERVER_TABS.find((one) => one === next) ?? "overview" },
                })
              }
              items={SERVER_TABS.map((one) => ({ key: one, label: t(`server.tab.${one}`) }))}
            />
            <Tab host={it} />
          </>
        )}
      </Loaded>
    </div>
  );
}

function Tab({ host }: { host: HostDetail }) {
  const { t } = useTranslation();
  const { tab = "overview", open } = route.useSearch();
  const navigate = useNavigate({ from: "/servers/$host" });
  switch (tab) {
    case "overview":
      return <Overview host={host} />;
    case "events":
      return (
        <FindingList
          filter={{ host: host.id }}
          withHost={false}
          open={open}
          onOpen={(next) =>
            void navigate({ search: next ? { tab, open: next } : { tab }, replace: true })
          }
          empty={{ title: t("events.none"), hint: t("events.none_hint") }}
        />
      );
    case "assets":
      return <HostAssets host={host} />;
    case "changes":
      return <ChangeTable filter={{ host: host.id }} withHost={false} />;
    case "protection":
      return <ProtectionTab host={host} />;
    case "activity":
      return <Activity host={host.id} />;
  }
}
