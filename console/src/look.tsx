// Language and scheme around everything: Ant Design, our style sheet and the catalogues.
import { App, ConfigProvider } from "antd";
import type { Locale } from "antd/es/locale";
import { type ReactNode, useEffect, useState } from "react";
import { loadLanguage } from "./i18n";
import { type Language, usePrefs } from "./prefs";
import { antTheme, applyScheme } from "./theme";

const LOCALES: Record<Language, () => Promise<{ default: Locale }>> = {
  en: () => import("antd/es/locale/en_GB"),
  zh: () => import("antd/es/locale/zh_CN"),
};

export function Look({ children }: { children: ReactNode }) {
  const { language, scheme } = usePrefs();
  const [locale, setLocale] = useState<Locale>();

  useEffect(() => applyScheme(scheme), [scheme]);
  useEffect(() => {
    let current = true;
    void Promise.all([LOCALES[language](), loadLanguage(language)]).then(([loaded]) => {
      if (current) setLocale(loaded.default);
    });
    return () => {
      current = false;
    };
  }, [language]);

  if (!locale) return null;
  return (
    <ConfigProvider
      theme={antTheme(scheme)}
      locale={locale}
      componentSize="middle"
      button={{ autoInsertSpace: false }}
      wave={{ disabled: true }}
    >
      <App className="app" notification={{ placement: "bottomRight" }}>
        {children}
      </App>
    </ConfigProvider>
  );
}
