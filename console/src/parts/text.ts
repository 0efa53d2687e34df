import type { Text } from "../contract";
import { usePrefs } from "../prefs";

/** Picks the reader's language of a text that the server sends in both. */
export function useText(): (text: Text) => string {
  const { language } = usePrefs();
  return (text) => text[language] || text.en;
}
