import { UserOutlined } from "@ant-design/icons";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Button, Dropdown } from "antd";
import { useTranslation } from "react-i18next";
import { act, read } from "../../api";

export function PersonMenu({ onKeys }: { onKeys: () => void }) {
  const { t } = useTranslation();
  const { data: me } = useQuery(read.session());
  const navigate = useNavigate();
  const queries = useQueryClient();
  const signOut = useMutation({
    mutationFn: act.signOut,
    onSettled: async () => {
      await navigate({ to: "/sign-in" });
      queries.clear();
    },
  });
  if (!me) return null;
  return (
    <Dropdown
      trigger={["click"]}
      menu={{
        items: [
          { key: "role", type: "group", label: t(`role.${me.user.role}`) },
          { key: "keys", label: t("keys.title"), onClick: onKeys },
          {
            key: "password",
            label: t("frame.change_password"),
            onClick: () => void navigate({ to: "/password" }),
          },
          { type: "divider" },
          { key: "out", label: t("frame.sign_out"), onClick: () => signOut.mutate() },
        ],
      }}
    >
      <Button type="text" icon={<UserOutlined />} aria-haspopup="menu" aria-label={me.user.name}>
        <span className="person-name">{me.user.name}</span>
      </Button>
    </Dropdown>
  );
}
