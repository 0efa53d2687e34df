import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Alert, App, Button, Dropdown, Input, Modal, Select } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../api";
import type { HostDetail } from "../../contract";
import { formatBytes } from "../../format";
import { useProtectionReasons } from "../../parts/because";
import { Facts } from "../../parts/facts";
import { HostState } from "../../parts/host-state";
import { Mono } from "../../parts/mono";
import { useTitle } from "../../parts/page-head";
import { useMay } from "../../parts/permission";
import { useProblemText } from "../../parts/problem";
import { When } from "../../parts/when";
import { usePrefs } from "../../prefs";
import { ScanProgress, useScan } from "./scan";

const IMPORTANCES = ["important", "general", "test"] as const;

export function HostHead({ host }: { host: HostDetail }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const may = useMay();
  const scan = useScan(host.id);
  useTitle(host.name);
  return (
    <header className="host-head">
      <div className="page-head">
        <h1 className="cut" title={host.name}>
          {host.name}
        </h1>
        <HostState host={host} />
        {host.importance !== "general" && (
          <span className="tag">{t(`importance.${host.importance}`)}</span>
        )}
        <div className="page-actions">
          {may("scan") && (
            <Button
              type="primary"
              disabled={host.connection !== "online"}
              title={host.connection === "online" ? "" : t("server.scan_offline")}
              loading={scan.running}
              onClick={scan.start}
            >
              {t("server.scan")}
            </Button>
          )}
          {may("manage_hosts") && <HostMenu host={host} />}
        </div>
      </div>
      <Facts
        facts={[
          {
            name: t("servers.address"),
            value: (
              <span className="wrap">
                {host.addresses.slice(0, 3).map((it) => (
                  <Mono key={it} text={it} />
                ))}
                {host.addresses.length > 3 && (
                  <span className="muted" title={host.addresses.join("\n")}>
                    +{host.addresses.length - 3}
                  </span>
                )}
              </span>
            ),
          },
          { name: t("servers.os"), value: `${host.os.name} ${host.os.version}` },
          { name: t("server.kernel"), value: `${host.kernel} ${host.arch}` },
          {
            name: t("server.hardware"),
            value: t("server.hardware_text", {
              count: host.cpus,
              memory: formatBytes(host.memory_bytes, language),
            }),
          },
          { name: t("servers.group"), value: host.group.name },
          { name: t("servers.last_seen"), value: <When at={host.last_seen_at} /> },
          { name: t("server.booted"), value: <When at={host.booted_at} /> },
          { name: t("servers.agent"), value: host.agent_version },
          ...(host.remark ? [{ name: t("servers.remark"), value: host.remark }] : []),
        ]}
      />
      <Reasons host={host} />
      <ScanProgress scan={scan} />
    </header>
  );
}

/** Why the host is not fully protected, and that what is shown is old when its agent is away. */
function Reasons({ host }: { host: HostDetail }) {
  const reasons = useProtectionReasons()(host);
  if (reasons.length === 0) return null;
  return (
    <Alert
      showIcon
      type={host.protection === "unprotected" ? "error" : "warning"}
      title={
        <ul className="reasons">
          {reasons.map((it) => (
            <li key={it}>{it}</li>
          ))}
        </ul>
      }
    />
  );
}

function HostMenu({ host }: { host: HostDetail }) {
  const { t } = useTranslation();
  const { modal, message } = App.useApp();
  const say = useProblemText();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const [editing, setEditing] = useState(false);
  const forget = () =>
    modal.confirm({
      title: t("server.forget_title", { name: host.name }),
      content: t("server.forget_about"),
      okText: t("server.forget"),
      cancelText: t("part.cancel"),
      okButtonProps: { danger: true },
      onOk: async () => {
        try {
          await act.forgetHost(host.id);
        } catch (error) {
          void message.error(say(error));
          return;
        }
        await navigate({ to: "/servers" });
        queries.removeQueries({ queryKey: read.host(host.id).queryKey });
        await queries.invalidateQueries({ queryKey: ["/hosts"] });
      },
    });
  return (
    <>
      <Dropdown
        trigger={["click"]}
        menu={{
          items: [
            { key: "edit", label: t("server.edit"), onClick: () => setEditing(true) },
            { key: "forget", label: t("server.forget"), danger: true, onClick: forget },
          ],
        }}
      >
        <Button aria-haspopup="menu">{t("part.more")}</Button>
      </Dropdown>
      {editing && <EditDialog host={host} onClose={() => setEditing(false)} />}
    </>
  );
}

function EditDialog({ host, onClose }: { host: HostDetail; onClose: () => void }) {
  const { t } = useTranslation();
  const say = useProblemText();
  const queries = useQueryClient();
  const { data: groups } = useQuery(read.groups());
  const [group, setGroup] = useState(host.group.id);
  const [importance, setImportance] = useState(host.importance);
  const [remark, setRemark] = useState(host.remark);
  const save = useMutation({
    mutationFn: () => act.changeHost(host.id, { group, importance, remark }),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: read.host(host.id).queryKey });
      await queries.invalidateQueries({ queryKey: ["/hosts"] });
      onClose();
    },
  });
  return (
    <Modal
      open
      title={t("server.edit")}
      okText={t("part.save")}
      cancelText={t("part.cancel")}
      okButtonProps={{ loading: save.isPending }}
      onOk={() => save.mutate()}
      onCancel={onClose}
    >
      <div className="form">
        <label htmlFor="host-group">{t("servers.group")}</label>
        <Select
          id="host-group"
          value={group}
          onChange={setGroup}
          options={(groups?.items ?? []).map((it) => ({ value: it.id, label: it.name }))}
        />
        <label htmlFor="host-importance">{t("server.importance")}</label>
        <Select
          id="host-importance"
          value={importance}
          onChange={setImportance}
          options={IMPORTANCES.map((it) => ({ value: it, label: t(`importance.${it}`) }))}
        />
        <label htmlFor="host-remark">{t("servers.remark")}</label>
        <Input.TextArea
          id="host-remark"
          rows={3}
          maxLength={1000}
          value={remark}
          onChange={(event) => setRemark(event.target.value)}
        />
        {save.error && <Alert type="error" showIcon title={say(save.error)} />}
      </div>
    </Modal>
  );
}
