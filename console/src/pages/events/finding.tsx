import { ArrowLeftOutlined } from "@ant-design/icons";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { FindingDetail } from "../../parts/finding/detail";
import { useTitle } from "../../parts/page-head";

const route = getRouteApi("/frame/events/$finding");

export function FindingPage() {
  const { t } = useTranslation();
  const { finding } = route.useParams();
  useTitle(t("finding.title"));
  return (
    <div className="page">
      <Link to="/events" className="back">
        <ArrowLeftOutlined /> {t("frame.events")}
      </Link>
      <FindingDetail id={finding} />
    </div>
  );
}
