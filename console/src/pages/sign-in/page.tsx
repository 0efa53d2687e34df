import { useMutation, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { Alert, Button, Form, Input, type InputRef } from "antd";
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../api";
import { ApiError } from "../../http";
import { Door } from "../../parts/door";
import { useProblemText } from "../../parts/problem";

const route = getRouteApi("/sign-in");

export function SignInPage() {
  const { t } = useTranslation();
  const { next } = route.useSearch();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const say = useProblemText();
  const first = useRef<InputRef>(null);
  useEffect(() => first.current?.focus(), []);

  const signIn = useMutation({
    mutationFn: (form: { name: string; password: string }) => act.signIn(form.name, form.password),
    onSuccess: (me) => {
      queries.clear();
      queries.setQueryData(read.session().queryKey, me);
      if (me.must_change_password) return navigate({ to: "/password" });
      return navigate({ href: insidePath(next) });
    },
  });
  const refused = signIn.error instanceof ApiError && signIn.error.status === 401;

  return (
    <Door title={t("sign_in.title")}>
      <Form layout="vertical" requiredMark={false} onFinish={(form) => signIn.mutate(form)}>
        {signIn.error && (
          <Alert
            role="alert"
            type="error"
            showIcon
            className="door-alert"
            title={refused ? t("sign_in.refused") : say(signIn.error)}
          />
        )}
        <Form.Item
          name="name"
          label={t("sign_in.name")}
          rules={[{ required: true, message: t("sign_in.name_missing") }]}
        >
          <Input ref={first} autoComplete="username" size="large" />
        </Form.Item>
        <Form.Item
          name="password"
          label={t("sign_in.password")}
          rules={[{ required: true, message: t("sign_in.password_missing") }]}
        >
          <Input.Password autoComplete="current-password" size="large" />
        </Form.Item>
        <Button
          block
          type="primary"
          size="large"
          htmlType="submit"
          loading={signIn.isPending}
          className="door-button"
        >
          {t("sign_in.button")}
        </Button>
      </Form>
    </Door>
  );
}

/** Only a path of this console: a link must not send a person who signed in elsewhere. */
export const insidePath = (next: string | undefined): string =>
  next !== undefined && /^\/(?![/\\])/.test(next) && !next.startsWith("/sign-in") ? next : "/";
