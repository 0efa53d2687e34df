// What agents look at and how often.
import { Button, Input, Select } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { Policy } from "../../../contract";
import { Group, Span, useLocked, Words } from "./fields";

type Collect = Policy["collect"];
type Ports = Policy["ports"]["ignored"];

const FORMATS = ["syslog", "vsftpd", "mysql", "postgresql"] as const;
const LOGS_MAX = 16;

interface Props {
  policy: Policy;
  onChange: (change: Partial<Policy>) => void;
}

export function CollectPolicy({ policy, onChange }: Props) {
  const { t } = useTranslation();
  const { collect, detect, ports } = policy;
  const setCollect = (change: Partial<Collect>) => onChange({ collect: { ...collect, ...change } });
  return (
    <>
      <Group title={t("policy.ports")} about={t("policy.ports_about")}>
        <Words
          label={t("policy.ports_label")}
          hint={t("policy.ports_hint")}
          values={ports.ignored.map((it) => `${it.protocol}/${it.port}`)}
          onChange={(it) => onChange({ ports: { ignored: it.flatMap(readPort) } })}
        />
      </Group>
      <Group title={t("policy.watched")} about={t("policy.watched_about")}>
        <Words
          label={t("policy.watched_label")}
          hint={t("policy.watched_hint")}
          values={detect.watched_paths}
          onChange={(it) => onChange({ detect: { ...detect, watched_paths: it } })}
        />
      </Group>
      <Group title={t("policy.collect")} about={t("policy.collect_about")}>
        <Span
          label={t("policy.fast")}
          about={t("policy.fast_about")}
          min={5}
          max={3_600}
          seconds={collect.fast_s}
          onChange={(it) => setCollect({ fast_s: it })}
        />
        <Span
          label={t("policy.slow")}
          about={t("policy.slow_about")}
          min={60}
          max={604_800}
          seconds={collect.slow_s}
          onChange={(it) => setCollect({ slow_s: it })}
        />
      </Group>
      <Group title={t("policy.logs")} about={t("policy.logs_about")}>
        <Logs logs={collect.logs} onChange={(logs) => setCollect({ logs })} />
      </Group>
    </>
  );
}

/** `tcp/6379` or a bare number, which means TCP. */
export function readPort(text: string): Ports {
  const match = /^(?:(tcp|udp)\/)?(\d{1,5})$/.exec(text.trim().toLowerCase());
  const port = Number(match?.[2]);
  if (!match || port < 1 || port > 65_535) return [];
  return [{ protocol: match[1] ?? "tcp", port }];
}

interface LogsProps {
  logs: Collect["logs"];
  onChange: (logs: Collect["logs"]) => void;
}

/** Text logs that lie elsewhere than distributions put them. */
function Logs({ logs, onChange }: LogsProps) {
  const { t, i18n } = useTranslation();
  const locked = useLocked();
  const [format, setFormat] = useState<string>("syslog");
  const [path, setPath] = useState("");
  const name = (it: string) =>
    i18n.exists(`policy.format.${it}`) ? t(`policy.format.${it}` as "policy.format.syslog") : it;
  const absolute = path.trim().startsWith("/");
  return (
    <div className="whitelist">
      {logs.length === 0 && <span className="muted">{t("policy.logs_none")}</span>}
      <ul>
        {logs.map((it) => (
          <li key={`${it.format} ${it.path}`}>
            <span className="mono cut" title={it.path}>
              {it.path}
            </span>
            <span>{name(it.format)}</span>
            {!locked && (
              <Button
                size="small"
                type="text"
                onClick={() => onChange(logs.filter((other) => other !== it))}
              >
                {t("policy.remove")}
              </Button>
            )}
          </li>
        ))}
      </ul>
      {!locked && logs.length < LOGS_MAX && (
        <div className="inline-form">
          <Input
            style={{ width: 280 }}
            aria-label={t("policy.log_path")}
            placeholder={t("policy.log_path")}
            maxLength={4_096}
            status={path.trim() && !absolute ? "error" : ""}
            value={path}
            onChange={(event) => setPath(event.target.value)}
          />
          <Select
            style={{ width: 190 }}
            aria-label={t("policy.log_format")}
            value={format}
            options={FORMATS.map((it) => ({ value: it, label: name(it) }))}
            onChange={setFormat}
          />
          <Button
            disabled={!absolute}
            onClick={() => {
              onChange([...logs, { format, path: path.trim() }]);
              setPath("");
            }}
          >
            {t("policy.add")}
          </Button>
        </div>
      )}
    </div>
  );
}
