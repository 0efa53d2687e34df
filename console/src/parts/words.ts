// Names for the single words of agents and rules. A word that this console does not know yet is
// shown as it was written: an older console reads a newer agent.
import { useTranslation } from "react-i18next";

/** `records dropped in all` and `records_dropped_in_all` are one fact. */
const factKey = (name: string): string => name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "_");
const plain = (word: string): string => word.replaceAll("_", " ");

interface Words {
  category: (category: string) => string;
  capability: (id: string) => string;
  fact: (name: string) => string;
  /** A field of the event taxonomy. */
  field: (name: string) => string;
  /** The value of a column or fact that has a fixed vocabulary. */
  value: (name: string, value: string) => string;
  audit: (action: string) => string;
  /** Something a person fills in, as the API calls it. */
  input: (name: string) => string;
}

export function useWords(): Words {
  const { t, i18n } = useTranslation();
  const name = (group: string, key: string, otherwise: string): string => {
    const path = `${group}.${key}`;
    return i18n.exists(path) ? t(path as "category.brute_force") : otherwise;
  };
  return {
    category: (it) => name("category", it, plain(it)),
    capability: (it) => name("capability.name", factKey(it), plain(it)),
    fact: (it) => name("fact", factKey(it), name("field", it, plain(it))),
    field: (it) => name("field", it, it),
    value: (column, it) => name(`word.${column}`, factKey(it), name(`word.${column}`, it, it)),
    audit: (it) => name("audit.did", factKey(it), it),
    input: (it) => name("input", it, plain(it)),
  };
}
