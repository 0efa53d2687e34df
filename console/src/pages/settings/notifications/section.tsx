import { getRouteApi } from "@tanstack/react-router";
import { Tabs } from "antd";
import { useTranslation } from "react-i18next";
import { NOTIFY_VIEWS } from "../../../search";
import { SectionHead } from "../section";
import { Channels } from "./channels";
import { Deliveries } from "./deliveries";
import { Reach } from "./reach";
import { Routes } from "./routes";

const route = getRouteApi("/frame/settings/$section");

export function NotificationsSection() {
  const { t } = useTranslation();
  const navigate = route.useNavigate();
  const { view = "channels" } = route.useSearch();
  return (
    <>
      <SectionHead title={t("settings.notifications")} about={t("notify.about")} />
      <Tabs
        size="small"
        activeKey={view}
        onChange={(next) =>
          void navigate({ search: { view: NOTIFY_VIEWS.find((it) => it === next) ?? "channels" } })
        }
        items={NOTIFY_VIEWS.map((it) => ({ key: it, label: t(`notify.view.${it}`) }))}
      />
      <View view={view} />
    </>
  );
}

function View({ view }: { view: (typeof NOTIFY_VIEWS)[number] }) {
  switch (view) {
    case "channels":
      return <Channels />;
    case "routes":
      return <Routes />;
    case "deliveries":
      return <Deliveries />;
    case "reach":
      return <Reach />;
  }
}
