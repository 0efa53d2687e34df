// Reasons that agents and server give: by the id of the sentence in the reader's language, or the
// English that came along where this console does not know the id.
import { useTranslation } from "react-i18next";
import type { Host, Reason } from "../contract";
import { useText } from "./text";
import { useWords } from "./words";

/** What a system call failed of, as Rust writes it. */
const SYSTEM_ERROR = /(?:(?<=: )|^)[^:]*\(os error (\d+)\)/g;

/** What a path turned out to be, and what was wanted. */
const KINDS = ["found", "wanted"];

/** `text` is the same in English, for reasons that have no id or one this console does not know. */
export function useBecause(): (text: string, why: Reason | null | undefined) => string {
  const { t, i18n } = useTranslation();
  const words = useWords();
  const local = (text: string) =>
    text.replaceAll(SYSTEM_ERROR, (whole, number: string) =>
      i18n.exists(`errno.${number}`) ? t(`errno.${number}` as "errno.2") : whole,
    );
  const named = (name: string, value: string): string => {
    if (KINDS.includes(name)) return words.value("file_kind", value);
    return name === "secret" ? words.input(value) : local(value);
  };
  const filled = ([name, value]: [string, string]) => [name, named(name, value)];
  return (text, why) => {
    if (!why || !i18n.exists(`reason.${why.id}`)) return text;
    const { place, ...params } = why.params;
    const what = t(
      `reason.${why.id}` as "reason.vault.gone",
      Object.fromEntries(Object.entries(params).map(filled)),
    );
    return place === undefined ? what : t("problem.place", { place, what });
  };
}

/** Why a server is not fully protected, one sentence each. */
export function useProtectionReasons(): (host: Host) => string[] {
  const { t } = useTranslation();
  const say = useText();
  const words = useWords();
  const because = useBecause();
  return (host) => {
    const weak = host.capabilities.filter(
      (it) => it.state === "degraded" || it.state === "missing",
    );
    const others = host.protection_reasons.filter(
      (it) => !weak.some(({ id }) => it.en.startsWith(`${id}: `)),
    );
    return [
      ...others.map(say),
      ...weak.map((it) =>
        t("capability.weak", {
          name: words.capability(it.id),
          state: t(`capability.${it.state}`),
          why: because(it.reason, it.why),
        }),
      ),
    ];
  };
}
