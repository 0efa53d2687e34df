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

const COLUMNS: &[Column] = &[
    column("name", F::Text, ("Name", "名称"), "The product.", true),
    column(
        "version",
        F::Text,
        ("Version", "版本"),
        "Version of the package; absent for programs of no package.",
        true,
    ),
    column(
        "running",
        F::Boolean,
        ("Running", "运行中"),
        "Whether a process of it runs; absent offline.",
        true,
    ),
    column(
        "address",
        F::List,
        ("Bound to", "监听地址"),
        "Addresses it is configured to listen on; absent where it keeps its default.",
        true,
    ),
    column("port", F::Port, ("Port", "端口"), "Configured port, else the usual one.", true),
    column(
        "authentication",
        F::Text,
        ("Authentication", "身份认证"),
        "required or absent by its configuration; missing where that does not tell.",
        true,
    ),
    column("user", F::User, ("User", "用户"), "Whom the process runs as.", true),
    column("config", F::Path, ("Configuration", "配置文件"), "Main configuration file.", false),
    column("data", F::Path, ("Data", "数据目录"), "Folder of its data, as configured.", false),
    column(
        "executable",
        F::Path,
        ("Executable", "可执行文件"),
        "Path of the running program.",
        false,
    ),
    column(
        "package",
        F::Text,
        ("Package", "软件包"),
        "Package of the program or of its configuration.",
        false,
    ),
];

pub(super) static DATABASES: Spec = Spec {
    kind: "database",
    title: ("Databases", "数据库"),
    about: ("Database servers that run or are configured.", "正在运行或已配置的数据库服务。"),
    key: &["name", "config", "executable"],
    columns: COLUMNS,
};

pub(super) static MIDDLEWARE: Spec = Spec {
    kind: "middleware",
    title: ("Middleware", "中间件"),
    about: (
        "Caches, message brokers, coordinators, proxies and container engines that run or are configured.",
        "正在运行或已配置的缓存、消息、协调、代理和容器引擎服务。",
    ),
    key: &["name", "config", "executable"],
    columns: COLUMNS,
};
