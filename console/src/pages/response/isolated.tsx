import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { HostFilter } from "../../parts/host-pick";
import { Pick } from "../../parts/pick";
import { IsolatedTable } from "../../parts/response/isolated-table";
import { TextFilter } from "../../parts/text-filter";
import { type Edit, edited, ISOLATED_STATES, type ResponseSearch } from "../../search";

const route = getRouteApi("/frame/response/$section");

export function IsolatedSection() {
  const { t } = useTranslation();
  const search = route.useSearch();
  const navigate = useNavigate({ from: "/response/$section" });
  const set = (change: Edit<ResponseSearch>) =>
    void navigate({ search: (before) => edited(before, change), replace: true });
  const state = ISOLATED_STATES.find((it) => it === search.state);
  return (
    <>
      <search className="filters">
        <TextFilter label={t("respond.path")} value={search.q} onSettle={(q) => set({ q })} />
        <Pick
          label={t("finding.status")}
          value={state}
          choices={ISOLATED_STATES.map((it) => ({
            value: it,
            label: t(`respond.file_state.${it}`),
          }))}
          onPick={(it) => set({ state: it })}
        />
        <HostFilter host={search.host} onPick={(host) => set({ host })} />
      </search>
      <IsolatedTable
        filter={{
          ...(search.q && { q: search.q }),
          ...(state && { state }),
          ...(search.host && { host: search.host }),
        }}
        open={search.open}
        onOpen={(open) => set({ open })}
        withHost
      />
    </>
  );
}
