// What a dialog asks for, by type of channel.
import type { ChannelConfig } from "../../../contract";

export type ChannelType = ChannelConfig["type"];
export type SecretName = "url" | "password" | "key";

export const TYPES = [
  "email",
  "webhook",
  "slack",
  "teams",
  "feishu",
  "dingtalk",
  "wecom",
  "pagerduty",
  "syslog",
  "file",
] as const satisfies ChannelType[];

/** A new channel of the type, as far as it can be known. */
export function blank(type: ChannelType): ChannelConfig {
  switch (type) {
    case "email":
      return {
        type,
        server: "",
        port: 587,
        tls: "starttls",
        user: "",
        from: "",
        to: [],
        ca_pem: "",
      };
    case "webhook":
      return { type, url: "", ca_pem: "" };
    case "pagerduty":
      return { type, url: "https://events.pagerduty.com/v2/enqueue" };
    case "syslog":
      return {
        type,
        server: "",
        port: 6514,
        transport: "tls",
        body: "json",
        facility: 16,
        ca_pem: "",
      };
    case "file":
      return { type, name: "" };
    case "slack":
    case "teams":
    case "feishu":
    case "dingtalk":
    case "wecom":
      return { type };
  }
}

/** Secrets the type takes, and whether it can do without. */
export function secretsOf(config: ChannelConfig): { name: SecretName; optional: boolean }[] {
  switch (config.type) {
    case "email":
      return config.user ? [{ name: "password", optional: false }] : [];
    case "webhook":
    case "pagerduty":
      return [{ name: "key", optional: false }];
    case "slack":
    case "teams":
    case "wecom":
      return [{ name: "url", optional: false }];
    case "feishu":
    case "dingtalk":
      return [
        { name: "url", optional: false },
        { name: "key", optional: true },
      ];
    case "syslog":
    case "file":
      return [];
  }
}
