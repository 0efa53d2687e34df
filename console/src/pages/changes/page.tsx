import { useQuery } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { read } from "../../api";
import { AssetTabs } from "../../parts/asset-tabs";
import { ChangeTable } from "../../parts/change-list";
import { HostFilter } from "../../parts/host-pick";
import { PageHead } from "../../parts/page-head";
import { Pick } from "../../parts/pick";
import { useText } from "../../parts/text";
import { type ChangesSearch, type Edit, edited, OPS } from "../../search";

const route = getRouteApi("/frame/changes");

export function ChangesPage() {
  const { t } = useTranslation();
  const say = useText();
  const search = route.useSearch();
  const navigate = useNavigate({ from: "/changes" });
  const { data: kinds } = useQuery(read.assetKinds());
  const set = (change: Edit<ChangesSearch>) =>
    void navigate({ search: (before) => edited(before, change), replace: true });
  return (
    <div className="page">
      <PageHead title={t("change.title")} note={t("change.about")} />
      <AssetTabs current="changes" />
      <search className="filters">
        <Pick
          label={t("change.kind")}
          value={search.kind}
          choices={(kinds?.items ?? []).map((it) => ({
            value: it.spec.kind,
            label: say(it.spec.title),
          }))}
          onPick={(it) => set({ kind: it })}
        />
        <Pick
          label={t("change.op")}
          value={search.op}
          choices={OPS.map((it) => ({ value: it, label: t(`change.${it}`) }))}
          onPick={(it) => set({ op: it })}
        />
        <HostFilter host={search.host} onPick={(host) => set({ host })} />
      </search>
      <ChangeTable filter={search} withHost />
    </div>
  );
}
