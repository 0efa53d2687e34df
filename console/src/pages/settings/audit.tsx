import { useInfiniteQuery, useMutation } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Alert, Button, Drawer } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../api";
import type { AuditEntry } from "../../contract";
import { formatNumber } from "../../format";
import { plain } from "../../parts/asset-value";
import { Facts } from "../../parts/facts";
import { Mono } from "../../parts/mono";
import { useProblemText } from "../../parts/problem";
import { pagesSource } from "../../parts/source";
import { type Column, Table } from "../../parts/table";
import { Moment } from "../../parts/when";
import { useWords } from "../../parts/words";
import { usePrefs } from "../../prefs";
import { SectionHead } from "./section";

export function AuditSection() {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const say = useProblemText();
  const words = useWords();
  const list = useInfiniteQuery(read.audit());
  const verify = useMutation({ mutationFn: act.verifyAudit });
  const columns: Column<AuditEntry>[] = [
    { id: "at", title: t("change.at"), width: 184, render: (it) => <Moment at={it.at} /> },
    {
      id: "actor",
      title: t("audit.actor"),
      width: 140,
      render: (it) => (
        <span className="cut" title={it.actor}>
          {it.actor.replace(/^user:/, "")}
        </span>
      ),
    },
    {
      id: "action",
      title: t("audit.action"),
      width: 180,
      render: (it) => (
        <span className="cut" title={it.action}>
          {words.audit(it.action)}
        </span>
      ),
    },
    {
      id: "target",
      title: t("audit.target"),
      width: 190,
      render: (it) => <Target target={it.target} />,
    },
    {
      id: "detail",
      title: t("audit.detail"),
      render: (it) => {
        const text = told(it.detail);
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
      width: 140,
      render: (it) => (it.address ? <Mono text={it.address} max={20} /> : "—"),
    },
  ];
  const [open, setOpen] = useState<AuditEntry>();
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
        current={open?.id}
        onOpen={setOpen}
        empty={{ title: t("audit.none") }}
      />
      <Drawer
        open={open !== undefined}
        onClose={() => setOpen(undefined)}
        size={560}
        mask={false}
        destroyOnHidden
        title={t("audit.entry")}
      >
        {open && <EntryDetail entry={open} />}
      </Drawer>
    </>
  );
}

/** An id of something that has a page of its own is a door to it. */
function Target({ target }: { target: string }) {
  if (!target) return "—";
  const id = /^(finding|host)_[a-z0-9]+$/.exec(target)?.[1];
  if (id === "finding")
    return (
      <Link to="/events/$finding" params={{ finding: target }} className="cut mono">
        {target}
      </Link>
    );
  if (id === "host")
    return (
      <Link to="/servers/$host" params={{ host: target }} className="cut mono">
        {target}
      </Link>
    );
  return <Mono text={target} max={26} />;
}

/** The detail in one line: the names are those of the API. */
const told = (detail: AuditEntry["detail"]): string =>
  Object.entries(detail)
    .map(([name, value]) => `${name}: ${plain(value)}`)
    .join(" · ");

function EntryDetail({ entry }: { entry: AuditEntry }) {
  const { t } = useTranslation();
  const words = useWords();
  return (
    <article className="finding">
      <Facts
        facts={[
          { name: t("change.at"), value: <Moment at={entry.at} /> },
          { name: t("audit.actor"), value: entry.actor },
          {
            name: t("audit.action"),
            value: (
              <>
                {words.audit(entry.action)} <span className="mono muted">{entry.action}</span>
              </>
            ),
          },
          { name: t("audit.target"), value: <Target target={entry.target} /> },
          { name: t("login.address"), value: entry.address || "—" },
          { name: t("audit.hash"), value: <Mono text={entry.hash} max={40} /> },
        ]}
      />
      <section className="finding-part">
        <h3>{t("audit.detail")}</h3>
        <pre className="log">{JSON.stringify(entry.detail, null, 2)}</pre>
      </section>
    </article>
  );
}
