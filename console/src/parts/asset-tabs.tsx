import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";

/** The two views over all assets: what is there, and what became different. */
export function AssetTabs({ current }: { current: "kinds" | "changes" }) {
  const { t } = useTranslation();
  return (
    <nav className="tabs" aria-label={t("frame.assets")}>
      <Link to="/assets" aria-current={current === "kinds" ? "page" : undefined}>
        {t("asset.kinds")}
      </Link>
      <Link to="/changes" aria-current={current === "changes" ? "page" : undefined}>
        {t("change.title")}
      </Link>
    </nav>
  );
}
