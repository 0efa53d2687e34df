import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, App, Button, Dropdown, Input, Modal, Select } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { act, read } from "../../api";
import type { Role, User } from "../../contract";
import { useProblemText } from "../../parts/problem";
import { Secret } from "../../parts/secret";
import { listSource } from "../../parts/source";
import { type Column, Table } from "../../parts/table";
import { When } from "../../parts/when";
import { SectionHead } from "./section";

const ROLES = ["admin", "operator", "auditor", "viewer"] as const satisfies Role[];

export function UsersSection() {
  const { t } = useTranslation();
  const list = useQuery(read.users());
  const [creating, setCreating] = useState(false);
  const [handed, setHanded] = useState<{ name: string; password: string }>();
  const columns = useColumns(setHanded);
  return (
    <>
      <SectionHead
        title={t("settings.users")}
        about={t("user.about")}
        action={
          <Button type="primary" onClick={() => setCreating(true)}>
            {t("user.create")}
          </Button>
        }
      />
      <Table
        name="users"
        label={t("settings.users")}
        columns={columns}
        source={listSource(list)}
        rowKey={(it) => it.id}
        empty={{ title: t("user.none") }}
      />
      {creating && (
        <CreateDialog
          onClose={() => setCreating(false)}
          onDone={(it) => {
            setCreating(false);
            setHanded(it);
          }}
        />
      )}
      <Modal
        open={handed !== undefined}
        title={t("user.password_for", { name: handed?.name ?? "" })}
        footer={null}
        onCancel={() => setHanded(undefined)}
      >
        <p className="muted">{t("user.password_about")}</p>
        {handed && <Secret label={t("sign_in.password")} text={handed.password} />}
      </Modal>
    </>
  );
}

function useColumns(onPassword: (it: { name: string; password: string }) => void): Column<User>[] {
  const { t } = useTranslation();
  const { message, modal } = App.useApp();
  const say = useProblemText();
  const queries = useQueryClient();
  const { data: me } = useQuery(read.session());
  const options = {
    onError: (error: unknown) => void message.error(say(error)),
    onSettled: () => queries.invalidateQueries({ queryKey: read.users().queryKey }),
  };
  const change = useMutation({
    mutationFn: ({ id, ...rest }: { id: string; role?: Role; disabled?: boolean }) =>
      act.changeUser(id, rest),
    ...options,
  });
  const reset = useMutation({
    mutationFn: (user: User) => act.resetPassword(user.id),
    onSuccess: ({ user, password }) => onPassword({ name: user.name, password }),
    ...options,
  });
  const remove = useMutation({ mutationFn: act.deleteUser, ...options });
  const menu = (user: User) => [
    { key: "reset", label: t("user.reset"), onClick: () => reset.mutate(user) },
    {
      key: "disable",
      label: user.disabled ? t("user.enable") : t("user.disable"),
      onClick: () => change.mutate({ id: user.id, disabled: !user.disabled }),
    },
    {
      key: "delete",
      danger: true,
      label: t("user.delete"),
      onClick: () =>
        modal.confirm({
          title: t("user.delete_title", { name: user.name }),
          content: t("user.delete_about"),
          okText: t("user.delete"),
          cancelText: t("part.cancel"),
          okButtonProps: { danger: true },
          onOk: () => remove.mutateAsync(user.id).catch(() => {}),
        }),
    },
  ];
  return [
    {
      id: "name",
      title: t("sign_in.name"),
      render: (it) => (
        <span className="cut">
          {it.name}
          {it.id === me?.user.id && <span className="tag">{t("user.you")}</span>}
        </span>
      ),
    },
    {
      id: "role",
      title: t("user.role"),
      width: 180,
      render: (it) => (
        <Select
          size="small"
          style={{ width: 150 }}
          aria-label={t("user.role_of", { name: it.name })}
          value={it.role}
          disabled={it.id === me?.user.id}
          options={ROLES.map((role) => ({ value: role, label: t(`role.${role}`) }))}
          onChange={(role) => change.mutate({ id: it.id, role })}
        />
      ),
    },
    {
      id: "state",
      title: t("user.state"),
      width: 200,
      render: (it) =>
        it.disabled
          ? t("user.disabled")
          : it.must_change_password
            ? t("user.must_change")
            : t("user.active"),
    },
    {
      id: "last_login",
      title: t("user.last_login"),
      width: 130,
      render: (it) => <When at={it.last_login_at} />,
    },
    {
      id: "created",
      title: t("enrol.created"),
      width: 130,
      render: (it) => <When at={it.created_at} />,
    },
    {
      id: "menu",
      title: t("finding.action"),
      width: 100,
      render: (it) =>
        it.id === me?.user.id ? null : (
          <Dropdown trigger={["click"]} menu={{ items: menu(it) }}>
            <Button size="small" aria-haspopup="menu">
              {t("part.more")}
            </Button>
          </Dropdown>
        ),
    },
  ];
}

interface CreateProps {
  onClose: () => void;
  onDone: (it: { name: string; password: string }) => void;
}

function CreateDialog({ onClose, onDone }: CreateProps) {
  const { t } = useTranslation();
  const say = useProblemText();
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const create = useMutation({
    mutationFn: () => act.createUser(name.trim(), role),
    onSuccess: ({ password }) => onDone({ name: name.trim(), password }),
    onSettled: () => queries.invalidateQueries({ queryKey: read.users().queryKey }),
  });
  return (
    <Modal
      open
      title={t("user.create")}
      okText={t("user.create")}
      cancelText={t("part.cancel")}
      okButtonProps={{ disabled: name.trim() === "", loading: create.isPending }}
      onOk={() => create.mutate()}
      onCancel={onClose}
    >
      <div className="form">
        <label htmlFor="user-name">{t("sign_in.name")}</label>
        <Input
          id="user-name"
          autoComplete="off"
          maxLength={64}
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
        <label htmlFor="user-role">{t("user.role")}</label>
        <Select
          id="user-role"
          value={role}
          onChange={setRole}
          options={ROLES.map((it) => ({ value: it, label: t(`role.${it}`) }))}
        />
        <p className="muted">{t(`user.may.${role}`)}</p>
        {create.error && <Alert type="error" showIcon title={say(create.error)} />}
      </div>
    </Modal>
  );
}
