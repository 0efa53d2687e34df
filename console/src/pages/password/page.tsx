import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Alert, Button, Form, Input } from "antd";
import { useTranslation } from "react-i18next";
import { act, read } from "../../api";
import { Door } from "../../parts/door";
import { useProblemText } from "../../parts/problem";

interface Fields {
  current: string;
  next: string;
  again: string;
}

/** The first log-in ends here: the printed password must be replaced before anything is shown. */
export function PasswordPage() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const say = useProblemText();
  const change = useMutation({
    mutationFn: (form: Fields) => act.changePassword(form.current, form.next),
    onSuccess: async () => {
      queries.removeQueries({ queryKey: read.session().queryKey });
      await navigate({ to: "/" });
    },
  });

  return (
    <Door title={t("password.title")} hint={t("password.hint")}>
      <Form<Fields>
        layout="vertical"
        requiredMark={false}
        onFinish={(form) => change.mutate(form)}
        autoComplete="off"
      >
        {change.error && (
          <Alert
            role="alert"
            type="error"
            showIcon
            className="door-alert"
            title={say(change.error)}
          />
        )}
        <Form.Item
          name="current"
          label={t("password.current")}
          rules={[{ required: true, message: t("password.current_missing") }]}
        >
          <Input.Password autoComplete="current-password" size="large" />
        </Form.Item>
        <Form.Item
          name="next"
          label={t("password.new")}
          extra={t("password.rule")}
          rules={[{ required: true, min: 12, message: t("password.too_short") }]}
        >
          <Input.Password autoComplete="new-password" size="large" />
        </Form.Item>
        <Form.Item
          name="again"
          label={t("password.again")}
          dependencies={["next"]}
          rules={[
            ({ getFieldValue }) => ({
              validator: (_, value) =>
                value === getFieldValue("next")
                  ? Promise.resolve()
                  : Promise.reject(new Error(t("password.differ"))),
            }),
          ]}
        >
          <Input.Password autoComplete="new-password" size="large" />
        </Form.Item>
        <Button
          block
          type="primary"
          size="large"
          htmlType="submit"
          loading={change.isPending}
          className="door-button"
        >
          {t("password.button")}
        </Button>
      </Form>
    </Door>
  );
}
