import { MoonOutlined, SunOutlined } from "@ant-design/icons";
import { Button, Tooltip } from "antd";
import { useTranslation } from "react-i18next";
import { setPrefs, usePrefs } from "../prefs";

/** Named in the language it switches to, so that it can be found by those who need it. */
export function LanguageSwitch() {
  const { language } = usePrefs();
  const next = language === "en" ? "zh" : "en";
  return (
    <Button
      type="text"
      lang={next === "zh" ? "zh-CN" : "en"}
      onClick={() => setPrefs({ language: next })}
    >
      {next === "zh" ? "简体中文" : "English"}
    </Button>
  );
}

export function SchemeSwitch() {
  const { t } = useTranslation();
  const { scheme } = usePrefs();
  const label = scheme === "light" ? t("frame.to_dark") : t("frame.to_light");
  return (
    <Tooltip title={label}>
      <Button
        type="text"
        aria-label={label}
        icon={scheme === "light" ? <MoonOutlined /> : <SunOutlined />}
        onClick={() => setPrefs({ scheme: scheme === "light" ? "dark" : "light" })}
      />
    </Tooltip>
  );
}
