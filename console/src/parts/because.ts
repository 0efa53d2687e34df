// Reasons that agents and server give: by the id of the sentence in the reader's language, or the
// English that came along where this console does not know the id.
import { useTranslation } from "react-i18next";
import type { Host, Reason } from "../contract";
import { useText } from "./text";
import { useWords } from "./words";

interface Told {
  /** In English. */
  reason: string;
  why: Reason | null;
}

/** What a system call failed of, as Rust writes it. */
const SYSTEM_ERROR = /(?:(?<=: )|^)[^:]*\(os error (\d+)\)/g;

export function useBecause(): (it: Told) => string {
  const { t, i18n } = useTranslation();
  const local = (text: string) =>
    text.replaceAll(SYSTEM_ERROR, (whole, number: string) =>
      i18n.exists(`errno.${number}`) ? t(`errno.${number}` as "errno.2") : whole,
    );
  return ({ reason, why }) => {
    if (!why || !i18n.exists(`reason.${why.id}`)) return reason;
    const params = Object.entries(why.params).map(([name, value]) => [name, local(value)]);
    return t(`reason.${why.id}` as "reason.vault.gone", Object.fromEntries(params));
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
          why: because(it),
        }),
      ),
    ];
  };
}
