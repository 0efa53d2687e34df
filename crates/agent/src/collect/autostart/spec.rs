use model::asset::ColumnForm as F;
use model::asset::{Column, Spec};

const fn column(
    name: &'static str,
    form: F,
    title: (&'static str, &'static str),
    about: &'static str,
    shown: bool,
) -> Column {
    Column { name, form, title, about, volatile: false, shown }
}

pub(super) static SPEC: Spec = Spec {
    kind: "autostart",
    title: ("Auto-start", "自启动项"),
    about: (
        "Everything that starts by itself: at boot, at log-in, by the clock, or with every program.",
        "一切会自行启动的项目：开机、登录、定时，或随每个程序启动。",
    ),
    key: &["kind", "path", "name"],
    columns: &[
        column(
            "name",
            F::Text,
            ("Name", "名称"),
            "Unit, job, module or file; a cron job is called by its command.",
            true,
        ),
        column(
            "kind",
            F::Text,
            ("Kind", "类型"),
            "What starts it: systemd_service, systemd_timer, systemd_socket, systemd_path, user_unit, generator, cron, anacron, at, init_script, rc_local, shell_start, ld_preload, udev, desktop or kernel_module.",
            true,
        ),
        column("path", F::Path, ("File", "文件"), "The file that makes it start.", true),
        column(
            "command",
            F::Text,
            ("Command", "命令"),
            "What is run, secrets replaced by ***.",
            true,
        ),
        column(
            "schedule",
            F::Text,
            ("When", "时间"),
            "Crontab fields, timer settings or the event waited for.",
            false,
        ),
        column("user", F::User, ("User", "用户"), "Whom it runs as.", true),
        column(
            "enabled",
            F::Boolean,
            ("Enabled", "已启用"),
            "Whether it is linked to start; absent for what others start (static units).",
            true,
        ),
        column("package", F::Text, ("Package", "软件包"), "Package that installed the file.", true),
        column(
            "unpackaged",
            F::Boolean,
            ("Unpackaged", "非软件包"),
            "A program it runs, or the file where that is the program, belongs to no package; absent where the program is not known.",
            true,
        ),
        column(
            "programs",
            F::List,
            ("Programs", "程序"),
            "The programs its command starts, as far as its words tell.",
            false,
        ),
        column("sha256", F::Hash, ("SHA-256", "SHA-256"), "Digest of the file.", false),
        column(
            "modified_at",
            F::Time,
            ("Modified", "修改时间"),
            "When the file was last written.",
            false,
        ),
    ],
};
