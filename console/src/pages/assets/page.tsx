import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { read } from "../../api";
import { formatNumber } from "../../format";
import { AssetTabs } from "../../parts/asset-tabs";
import { PageHead } from "../../parts/page-head";
import { Loaded, Nothing } from "../../parts/states";
import { useText } from "../../parts/text";
import { usePrefs } from "../../prefs";

export function AssetsPage() {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const say = useText();
  const kinds = useQuery(read.assetKinds());
  return (
    <div className="page">
      <PageHead title={t("frame.assets")} note={t("asset.about")} />
      <AssetTabs current="kinds" />
      <Loaded query={kinds} lines={12}>
        {({ items }) =>
          items.length === 0 ? (
            <Nothing title={t("asset.no_kinds")} hint={t("servers.none_hint")} />
          ) : (
            <ul className="asset-kinds">
              {items.map(({ spec, rows, hosts }) => (
                <li key={spec.kind}>
                  <Link to="/assets/$kind" params={{ kind: spec.kind }} className="asset-kind">
                    <span className="asset-kind-name">{say(spec.title)}</span>
                    <span className="asset-kind-rows">{formatNumber(rows, language)}</span>
                    <span className="muted">{say(spec.about)}</span>
                    <span className="muted">
                      {t("asset.on_hosts", { count: hosts, hosts: formatNumber(hosts, language) })}
                    </span>
                  </Link>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </div>
  );
}
