import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { App, Button, Tooltip } from "antd";
import { useTranslation } from "react-i18next";
import { act, read } from "../../../api";
import type { NotifyDelivery } from "../../../contract";
import { useBecause } from "../../../parts/because";
import { Pick } from "../../../parts/pick";
import { useProblemText } from "../../../parts/problem";
import { pagesSource } from "../../../parts/source";
import { type Column, Table } from "../../../parts/table";
import { Moment, When } from "../../../parts/when";
import { DELIVERY_STATES, edited } from "../../../search";

const route = getRouteApi("/frame/settings/$section");

export function Deliveries() {
  const { t } = useTranslation();
  const navigate = route.useNavigate();
  const search = route.useSearch();
  const { channel, state } = search;
  const filter = { ...(channel && { channel }), ...(state && { state }) };
  const list = useInfiniteQuery(read.deliveries(filter));
  const channels = useQuery(read.channels());
  const names = new Map(channels.data?.items.map((it) => [it.id, it.name]));
  const columns = useColumns(names);
  return (
    <>
      <div className="inline-form">
        <Pick
          label={t("notify.delivery.channel")}
          width={180}
          value={channel}
          choices={[...names].map(([value, label]) => ({ value, label }))}
          onPick={(it) => void navigate({ search: edited(search, { channel: it }) })}
        />
        <Pick
          label={t("notify.channel.state")}
          value={state}
          choices={DELIVERY_STATES.map((it) => ({ value: it, label: t(`notify.state.${it}`) }))}
          onPick={(it) => void navigate({ search: edited(search, { state: it }) })}
        />
      </div>
      <Table
        name="deliveries"
        label={t("notify.view.deliveries")}
        columns={columns}
        source={pagesSource(list)}
        rowKey={(it) => it.id}
        empty={{ title: t("notify.delivery.none"), hint: t("notify.delivery.none_hint") }}
      />
    </>
  );
}

function useColumns(names: Map<string, string>): Column<NotifyDelivery>[] {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const say = useProblemText();
  const queries = useQueryClient();
  const retry = useMutation({
    mutationFn: act.retryDelivery,
    onError: (error: unknown) => void message.error(say(error)),
    onSettled: () => queries.invalidateQueries({ queryKey: ["/notifications/deliveries"] }),
  });
  return [
    {
      id: "at",
      title: t("enrol.created"),
      width: 184,
      render: (it) => <Moment at={it.created_at} />,
    },
    {
      id: "channel",
      title: t("notify.delivery.channel"),
      width: 120,
      render: (it) => <span className="cut">{names.get(it.channel) ?? it.channel}</span>,
    },
    {
      id: "title",
      title: t("notify.delivery.title"),
      render: (it) => (
        <span className="cut" title={it.title}>
          {it.title}
        </span>
      ),
    },
    {
      id: "count",
      title: t("notify.delivery.count"),
      width: 80,
      end: true,
      render: (it) => it.count,
    },
    {
      id: "state",
      title: t("notify.channel.state"),
      width: 302,
      slim: 130,
      render: (it) => <State delivery={it} />,
    },
    {
      id: "retry",
      title: t("finding.action"),
      width: 110,
      slim: 86,
      render: (it) =>
        it.state === "dead" ? (
          <Button
            size="small"
            loading={retry.isPending && retry.variables === it.id}
            onClick={() => retry.mutate(it.id)}
          >
            {t("notify.delivery.retry")}
          </Button>
        ) : null,
    },
  ];
}

function State({ delivery }: { delivery: NotifyDelivery }) {
  const { t } = useTranslation();
  const because = useBecause();
  const { state, attempts, attempts_max } = delivery;
  const reason = because(delivery.error, delivery.why);
  switch (state) {
    case "sent":
      return (
        <span>
          {t("notify.state.sent")} · <When at={delivery.settled_at} />
        </span>
      );
    case "waiting":
      if (!reason) return <span>{t("notify.state.waiting")}</span>;
      return (
        <Tooltip title={reason}>
          <span className="cut">
            {t("notify.delivery.tried", { attempts, max: attempts_max })} ·{" "}
            <Moment at={delivery.next_at} />
          </span>
        </Tooltip>
      );
    case "dead": {
      const told =
        attempts === 0
          ? t("notify.delivery.given_up_untried", { reason })
          : t("notify.delivery.given_up", { count: attempts, reason });
      return (
        <Tooltip title={told}>
          <span className="bad cut">{told}</span>
        </Tooltip>
      );
    }
  }
}
