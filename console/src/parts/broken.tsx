import { useRouter } from "@tanstack/react-router";
import { Button, Result } from "antd";
import { useTranslation } from "react-i18next";
import { useProblemText } from "./problem";

/** A whole page that could not be shown: says what failed and offers to try again. */
export function Broken({ error, reset }: { error: unknown; reset?: () => void }) {
  const { t } = useTranslation();
  const router = useRouter();
  const say = useProblemText();
  return (
    <Result
      status="warning"
      title={t("state.broken")}
      subTitle={say(error)}
      extra={
        <Button
          type="primary"
          onClick={() => {
            reset?.();
            void router.invalidate();
          }}
        >
          {t("state.retry")}
        </Button>
      }
    />
  );
}

export function NotFound() {
  const { t } = useTranslation();
  return (
    <Result
      status="info"
      title={t("state.not_found")}
      subTitle={t("state.not_found_hint")}
      extra={<Button href="/">{t("state.go_home")}</Button>}
    />
  );
}
