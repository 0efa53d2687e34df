// Notifications of the made-up fleet: one channel that works, one that fails, one untried.
import type { Channel, NotifyDelivery, NotifyRoute } from "../contract";
import { ago, id } from "./world-base";

const SET = { url: true, password: false, key: false, lost: false };
const NONE = { url: false, password: false, key: false, lost: false };

const REFUSED = {
  id: "send.answer",
  params: { host: "hooks.slack.com", status: "404", answer: "no_team" },
};

export const CHANNELS: Channel[] = [
  {
    id: id("channel", 1),
    name: "on-call",
    enabled: true,
    config: { type: "slack" },
    target: "hooks.slack.com",
    secrets: SET,
    created_at: ago(90_000),
    last_success_at: ago(86_000),
    last_error_at: ago(120),
    last_error: "hooks.slack.com answered 404: no_team",
    last_why: REFUSED,
    waiting: 0,
    sent: 311,
    dead: 2,
  },
  {
    id: id("channel", 2),
    name: "安全值班邮箱",
    enabled: true,
    config: {
      type: "email",
      server: "mail.example.org",
      port: 587,
      tls: "starttls",
      user: "garrison",
      from: "garrison@example.org",
      to: ["ops@example.org"],
      ca_pem: "",
    },
    target: "mail.example.org:587",
    secrets: { ...NONE, password: true },
    created_at: ago(80_000),
    last_success_at: ago(300),
    last_error_at: null,
    last_error: "",
    last_why: null,
    waiting: 1,
    sent: 12,
    dead: 0,
  },
  {
    id: id("channel", 3),
    name: "siem",
    enabled: false,
    config: {
      type: "syslog",
      server: "logs.example.org",
      port: 6514,
      transport: "tls",
      body: "cef",
      facility: 16,
      ca_pem: "",
    },
    target: "logs.example.org:6514/tls",
    secrets: NONE,
    created_at: ago(70_000),
    last_success_at: null,
    last_error_at: null,
    last_error: "",
    last_why: null,
    waiting: 0,
    sent: 0,
    dead: 0,
  },
];

const RULE: NotifyRoute["rule"] = {
  channels: [id("channel", 1), id("channel", 2)],
  recipients: [],
  kinds: ["alarm"],
  severity: "high",
  categories: [],
  groups: [],
  mode: "real_time",
  interval_s: 300,
  digest_at: "08:00",
  zone: "Asia/Shanghai",
  quiet: { from: "22:00", until: "07:00", except: "critical" },
  language: "en",
};

export const ROUTES: NotifyRoute[] = [
  {
    id: id("route", 1),
    name: "alarms, on-call",
    enabled: true,
    rule: RULE,
    created_at: ago(60_000),
  },
  {
    id: id("route", 2),
    name: "每日汇总",
    enabled: true,
    rule: { ...RULE, kinds: [], severity: "low", mode: "digest", quiet: null, language: "zh" },
    created_at: ago(50_000),
  },
];

const delivery = (number: number, more: Partial<NotifyDelivery>): NotifyDelivery => ({
  id: id("delivery", 100 - number),
  channel: id("channel", 1),
  route: id("route", 1),
  state: "sent",
  kind: "alert",
  title: "[High] 24 failed log-ins as root from 203.0.113.7 in 30 s (web-00000)",
  severity: "high",
  count: 1,
  created_at: ago(number * 400),
  next_at: ago(number * 400),
  attempts: 1,
  attempts_max: 16,
  error: "",
  why: null,
  settled_at: ago(number * 400 - 1),
  ...more,
});

export const DELIVERIES: NotifyDelivery[] = [
  delivery(1, {
    state: "dead",
    error: "hooks.slack.com answered 404: no_team",
    why: REFUSED,
  }),
  delivery(2, {
    state: "waiting",
    channel: id("channel", 2),
    kind: "summary",
    title: "【致命】1204 个事件短时间内集中出现",
    count: 1204,
    attempts: 3,
    error: "cannot connect to mail.example.org at 192.0.2.1:587: no answer",
    why: {
      id: "send.unconnected_late",
      params: { host: "mail.example.org", address: "192.0.2.1:587" },
    },
    next_at: ago(-40),
    settled_at: null,
  }),
  delivery(3, {}),
];
