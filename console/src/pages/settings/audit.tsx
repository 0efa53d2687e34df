import { useInfiniteQuery, useMutation } from "@tanstack/react-query";
import { Alert, Button } from "antd";
import { useTranslation } from "react-i18next";
import { act, read } from "../../api";
import type { AuditEntry } from "../../contract";
import { formatNumber } from "../../format";
import { Mono } from "../../parts/mono";
import { useProblemText } from "../../parts/problem";
import { pagesSource } from "../../parts/source";
import { type Column, Table } from "../../parts/table";
import { Moment } from "../../parts/when";
import { usePrefs } from "../../prefs";
import { SectionHead } from "./section";

export function AuditSection() {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const say = useProblemText();
  const list = useInfiniteQuery(read.audit());
  const verify = useMutation({ mutationFn: act.verifyAudit });
  const columns: Column<AuditEntry>[] = [
    { id: "at", title: t("change.at"), width: 170, render: (it) => <Moment at={it.at} /> },
    {
      id: "actor",
      title: t("audit.actor"),
      width: 170,
      render: (it) => (
        <span className="cut" title={it.actor}>
          {it.actor}
        </span>
      ),
    },
    {
      id: "action",
      title: t("audit.action"),
      width: 180,
      render: (it) => <span className="mono">{it.action}</span>,
    },
    {
      id: "target",
      title: t("audit.target"),
      width: 220,
      render: (it) => (it.target ? <Mono text={it.target} max={26} /> : "—"),
    },
    {
      id: "detail",
      title: t("audit.detail"),
      render: (it) => {
        const text = isEmpty(it.detail) ? "" : JSON.stringify(it.detail);
        return (
          <span className="cut mono muted" title={text}>
            {text}
          </span>
        );
      },
    },
    {
      id: "address",
      title: t("login.address"),
      width: 150,
      render: (it) => (it.address ? <Mono text={it.address} max={20} /> : "—"),
    },
  ];
  const report = verify.data;
  return (
    <>
      <SectionHead
        title={t("settings.audit")}
        about={t("audit.about")}
        action={
          <Button loading={verify.isPending} onClick={() => verify.mutate()}>
            {t("audit.verify")}
          </Button>
        }
      />
      {verify.error && <Alert type="error" showIcon title={say(verify.error)} />}
      {report && (
        <Alert
          showIcon
          closable
          type={report.intact ? "success" : "error"}
          title={
            report.intact
              ? t("audit.intact", {
                  count: report.entries,
                  shown: formatNumber(report.entries, language),
                })
              : t("audit.broken", { id: report.first_bad ?? "?" })
          }
        />
      )}
      <Table
        name="audit"
        label={t("settings.audit")}
        columns={columns}
        source={pagesSource(list)}
        rowKey={(it) => it.id}
        empty={{ title: t("audit.none") }}
      />
    </>
  );
}

const isEmpty = (detail: unknown): boolean =>
  detail === null ||
  detail === undefined ||
  (typeof detail === "object" && Object.keys(detail).length === 0);
