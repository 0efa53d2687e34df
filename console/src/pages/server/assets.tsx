import { useQuery } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { read } from "../../api";
import type { HostDetail } from "../../contract";
import { formatNumber } from "../../format";
import { AssetTable } from "../../parts/asset-table";
import { Loaded, Nothing } from "../../parts/states";
import { useText } from "../../parts/text";
import { TextFilter } from "../../parts/text-filter";
import { usePrefs } from "../../prefs";

const route = getRouteApi("/frame/servers/$host");

/** One entry a kind; the table beside it. */
export function HostAssets({ host }: { host: HostDetail }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const say = useText();
  const search = route.useSearch();
  const navigate = useNavigate({ from: "/servers/$host" });
  const kinds = useQuery(read.assetKinds());
  const rows = (kind: string) => host.asset_counts.find((it) => it.kind === kind)?.rows ?? 0;
  return (
    <Loaded query={kinds} lines={10}>
      {({ items }) => {
        const current = items.find((it) => it.spec.kind === search.kind) ?? items[0];
        if (!current) return <Nothing title={t("asset.no_kinds")} hint={t("server.scan_hint")} />;
        return (
          <div className="beside">
            <ul className="beside-list">
              {items.map(({ spec }) => (
                <li key={spec.kind}>
                  <button
                    type="button"
                    aria-current={spec === current.spec}
                    onClick={() =>
                      void navigate({ search: { tab: "assets", kind: spec.kind }, replace: true })
                    }
                  >
                    <span className="cut">{say(spec.title)}</span>
                    <span className="muted">{formatNumber(rows(spec.kind), language)}</span>
                  </button>
                </li>
              ))}
            </ul>
            <div className="beside-body">
              <search className="filters">
                <TextFilter
                  key={current.spec.kind}
                  label={t("asset.text")}
                  value={search.q}
                  onSettle={(q) =>
                    void navigate({
                      search: { tab: "assets", kind: current.spec.kind, ...(q && { q }) },
                      replace: true,
                    })
                  }
                />
                <span className="muted">{say(current.spec.about)}</span>
              </search>
              <AssetTable
                key={current.spec.kind}
                spec={current.spec}
                filter={{ host: host.id, ...(search.q && { q: search.q }) }}
                withHost={false}
              />
            </div>
          </div>
        );
      }}
    </Loaded>
  );
}
