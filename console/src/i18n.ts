import i18next from "i18next";
import { initReactI18next } from "react-i18next";
import type en from "./locales/en.json";
import type { Language } from "./prefs";

declare module "i18next" {
  interface CustomTypeOptions {
    resources: { translation: typeof en };
    returnNull: false;
  }
}

const catalogues = {
  en: () => import("./locales/en.json"),
  zh: () => import("./locales/zh.json"),
};

/** Loads the catalogue of `language` and switches to it. */
export async function loadLanguage(language: Language): Promise<void> {
  if (!i18next.isInitialized) {
    await i18next.use(initReactI18next).init({
      lng: language,
      fallbackLng: false,
      resources: {},
      interpolation: { escapeValue: false },
    });
  }
  if (!i18next.hasResourceBundle(language, "translation")) {
    const catalogue = await catalogues[language]();
    i18next.addResourceBundle(language, "translation", catalogue.default);
  }
  await i18next.changeLanguage(language);
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
}
