import { useTranslation } from "react-i18next";

/** The name of a sensor capability; an unknown one is shown as the agent wrote it. */
export function useCapabilityName(): (id: string) => string {
  const { t, i18n } = useTranslation();
  return (id) => {
    const key = `capability.name.${id.replaceAll(".", "_")}`;
    return i18n.exists(key) ? t(key as "capability.title") : id.replaceAll("_", " ");
  };
}
