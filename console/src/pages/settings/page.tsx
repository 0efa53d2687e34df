import { getRouteApi, Link } from "@tanstack/react-router";
import type { ComponentType } from "react";
import { useTranslation } from "react-i18next";
import type { Permission } from "../../contract";
import { PageHead } from "../../parts/page-head";
import { useMay } from "../../parts/permission";
import { Nothing } from "../../parts/states";
import { AuditSection } from "./audit";
import { EnrolmentSection } from "./enrolment";
import { NotificationsSection } from "./notifications/section";
import { PolicySection } from "./policy/section";
import { RetentionSection } from "./retention";
import { TokensSection } from "./tokens";
import { UsersSection } from "./users";

const route = getRouteApi("/frame/settings/$section");

interface Section {
  id: "enrolment" | "policy" | "users" | "tokens" | "notifications" | "retention" | "audit";
  needs: Permission;
  body: ComponentType;
}

const SECTIONS: Section[] = [
  { id: "enrolment", needs: "manage_tokens", body: EnrolmentSection },
  { id: "policy", needs: "read", body: PolicySection },
  { id: "users", needs: "manage_users", body: UsersSection },
  { id: "tokens", needs: "manage_tokens", body: TokensSection },
  { id: "notifications", needs: "manage_notifications", body: NotificationsSection },
  { id: "retention", needs: "read", body: RetentionSection },
  { id: "audit", needs: "read_audit", body: AuditSection },
];

export function SettingsPage() {
  const { t } = useTranslation();
  const { section } = route.useParams();
  const may = useMay();
  const shown = SECTIONS.filter((it) => may(it.needs));
  const current = shown.find((it) => it.id === section);
  return (
    <div className="page">
      <PageHead title={t("frame.settings")} />
      <div className="beside beside-narrow">
        <nav aria-label={t("frame.settings")}>
          <ul className="beside-list">
            {shown.map((it) => (
              <li key={it.id}>
                <Link to="/settings/$section" params={{ section: it.id }}>
                  {t(`settings.${it.id}`)}
                </Link>
              </li>
            ))}
          </ul>
        </nav>
        <div className="beside-body">
          {current ? <current.body /> : <Nothing title={t("problem.forbidden")} />}
        </div>
      </div>
    </div>
  );
}
