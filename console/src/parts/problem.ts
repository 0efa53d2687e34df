import { useTranslation } from "react-i18next";
import { ApiError } from "../http";

/** What to tell a person about a failure. The server's own words stand where ours would be vague. */
export function useProblemText(): (error: unknown) => string {
  const { t } = useTranslation();
  return (error) => {
    if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
    const { status, detail, title, errors } = error.problem;
    if (status === 0) return t("problem.unreachable");
    if (status === 401) return t("problem.signed_out");
    if (status === 403) return t("problem.forbidden");
    if (status === 404) return t("problem.gone");
    if (status === 429) return detail ?? t("problem.slow_down");
    const fields = errors?.map((it) => `${it.field}: ${it.detail}`).join("; ");
    return fields || detail || title || t("problem.unknown", { status });
  };
}
