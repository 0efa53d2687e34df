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

pub(super) static SITES: Spec = Spec {
    kind: "web_site",
    title: ("Web sites", "网站"),
    about: (
        "Sites that nginx, Apache and Tomcat are configured to serve, and what application servers (Node.js, gunicorn and the like) and small development servers serve now.",
        "nginx、Apache 和 Tomcat 配置中的网站，以及正在运行的应用服务器（如 Node.js、gunicorn）和小型开发服务器所提供的内容。",
    ),
    key: &["server", "address", "port", "name", "root"],
    columns: &[
        column(
            "name",
            F::Text,
            ("Site", "网站"),
            "First server name; absent for the one that answers to any name.",
            true,
        ),
        column("names", F::List, ("Names", "域名"), "All names and aliases.", false),
        column(
            "server",
            F::Text,
            ("Server", "服务程序"),
            "nginx, apache, tomcat, php, python, node or the name of another application server.",
            true,
        ),
        column(
            "address",
            F::Address,
            ("Address", "监听地址"),
            "Address it is bound to; * for every one; unix:PATH for a socket.",
            true,
        ),
        column("port", F::Port, ("Port", "端口"), "TCP port.", true),
        column("tls", F::Boolean, ("TLS", "TLS"), "Whether the listener speaks TLS.", true),
        column(
            "root",
            F::Path,
            ("Document root", "根目录"),
            "Folder it serves, or the folder of the application; absent for sites that only pass requests on.",
            true,
        ),
        column(
            "running",
            F::Boolean,
            ("Running", "运行中"),
            "Whether a process of the server runs; absent offline.",
            true,
        ),
        column("file", F::Path, ("Configuration", "配置文件"), "File that defines it.", false),
        column(
            "line",
            F::Integer,
            ("Line", "行号"),
            "Line of the file where the definition begins.",
            false,
        ),
    ],
};

pub(super) static DIRECTORIES: Spec = Spec {
    kind: "web_directory",
    title: ("Web directories", "Web 目录"),
    about: ("Folders whose content is served to web clients.", "其内容会提供给 Web 客户端的目录。"),
    key: &["server", "path"],
    columns: &[
        column("path", F::Path, ("Path", "路径"), "The folder.", true),
        column(
            "server",
            F::Text,
            ("Server", "服务程序"),
            "nginx, apache, tomcat, php or python.",
            true,
        ),
        column("sites", F::List, ("Sites", "网站"), "Names of the sites that serve it.", true),
        column("urls", F::List, ("URL paths", "URL 路径"), "Where it appears in the site.", true),
        column("owner", F::User, ("Owner", "所有者"), "User that owns the folder.", true),
        column("mode", F::Text, ("Mode", "权限"), "Permission bits, octal.", true),
        column("exists", F::Boolean, ("Exists", "存在"), "Whether the folder is there.", false),
        column(
            "open_to_all",
            F::Boolean,
            ("Writable by all", "所有人可写"),
            "Whether every user may write into it.",
            true,
        ),
        column(
            "package",
            F::Text,
            ("Package", "软件包"),
            "Package that installed the folder.",
            false,
        ),
        column("file", F::Path, ("Configuration", "配置文件"), "File that names it first.", false),
    ],
};
