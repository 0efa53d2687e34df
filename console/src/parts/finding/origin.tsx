import { useTranslation } from "react-i18next";

/** Where a program's content comes from, as far as that is known. */
type OriginState = "verified" | "changed" | "unverified" | "no_package" | "bad";

interface Known {
  package?: string | null;
  verified?: boolean | null;
}

export function originOf(it: Known, knownBad: boolean): OriginState {
  if (knownBad) return "bad";
  if (!it.package) return "no_package";
  if (it.verified === true) return "verified";
  return it.verified === false ? "changed" : "unverified";
}

/** By shape and word, not by colour alone. */
export function Origin({ origin, name = "" }: { origin: OriginState; name?: string }) {
  const { t } = useTranslation();
  return (
    <span className="origin" data-origin={origin}>
      {t(`evidence.${origin}`, { name })}
    </span>
  );
}
