import { useTranslation } from "react-i18next";

/** The name of a category; one that this console does not know yet is shown as the server wrote it. */
export function useCategoryName(): (category: string) => string {
  const { t, i18n } = useTranslation();
  return (category) =>
    i18n.exists(`category.${category}`)
      ? t(`category.${category}` as "category.brute_force")
      : category.replaceAll("_", " ");
}
