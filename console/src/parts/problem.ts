import { useTranslation } from "react-i18next";
import { ApiError } from "../http";
import { useBecause } from "./because";
import { useWords } from "./words";

/** What to tell a person about a failure. The server's own words stand where ours would be vague. */
export function useProblemText(): (error: unknown) => string {
  const { t } = useTranslation();
  const because = useBecause();
  const words = useWords();
  /** `addresses.2`: the third of a list whose name people know. */
  const told = (path: string, what: string): string => {
    const parts = path.split(".");
    const name = parts.findLast((it) => !/^\d+$/.test(it));
    if (!name) return what;
    const field = words.input(name);
    const last = parts.at(-1);
    return last === name
      ? t("problem.field", { field, what })
      : t("problem.field_of", { field, number: Number(last) + 1, what });
  };
  return (error) => {
    if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
    const { status, detail, why, title, errors } = error.problem;
    if (status === 0) return t("problem.unreachable");
    if (status === 401) return t("problem.signed_out");
    if (status === 403) return t("problem.forbidden");
    if (status === 404) return t("problem.gone");
    const fields = errors?.map((it) => told(it.field, because(it.detail, it.why)));
    if (fields && fields.length > 0) return fields.join(t("problem.and"));
    return because(detail ?? "", why) || title || t("problem.unknown", { status });
  };
}
