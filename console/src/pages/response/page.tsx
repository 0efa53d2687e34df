import { getRouteApi, Link } from "@tanstack/react-router";
import type { ComponentType } from "react";
import { useTranslation } from "react-i18next";
import { PageHead } from "../../parts/page-head";
import { Nothing } from "../../parts/states";
import { BlockedSection } from "./blocked";
import { HistorySection } from "./history";
import { IsolatedSection } from "./isolated";
import { WhitelistSection } from "./whitelist";

const route = getRouteApi("/frame/response/$section");

interface Section {
  id: "isolated" | "blocked" | "whitelist" | "history";
  body: ComponentType;
}

const SECTIONS: Section[] = [
  { id: "isolated", body: IsolatedSection },
  { id: "blocked", body: BlockedSection },
  { id: "whitelist", body: WhitelistSection },
  { id: "history", body: HistorySection },
];

/** What was done about attacks, and what takes it back. */
export function ResponsePage() {
  const { t } = useTranslation();
  const { section } = route.useParams();
  const current = SECTIONS.find((it) => it.id === section);
  return (
    <div className="page">
      <PageHead title={t("frame.response")} note={t("respond.about")} />
      <nav className="tabs" aria-label={t("frame.response")}>
        {SECTIONS.map((it) => (
          <Link
            key={it.id}
            to="/response/$section"
            params={{ section: it.id }}
            aria-current={it.id === section ? "page" : undefined}
          >
            {t(`respond.${it.id}`)}
          </Link>
        ))}
      </nav>
      {current ? <current.body /> : <Nothing title={t("state.not_found")} />}
    </div>
  );
}
