use model::asset::ColumnForm as F;
use model::asset::{Column, Spec};

const fn column(
    name: &'static str,
    form: F,
    title: (&'static str, &'static str),
    about: &'static str,
) -> Column {
    Column { name, form, title, about, volatile: false, shown: true }
}

pub(super) static SPEC: Spec = Spec {
    kind: "web_framework",
    title: ("Web frameworks", "Web 框架"),
    about: (
        "Frameworks and content management systems that web applications are built on, found among the installed libraries and in the folders that are served.",
        "构建 Web 应用所用的框架和内容管理系统，来自已安装的依赖库和对外提供内容的目录。",
    ),
    key: &["name", "version", "path"],
    columns: &[
        column("name", F::Text, ("Framework", "框架"), "Its usual name."),
        column("version", F::Text, ("Version", "版本"), "Version as its own record gives it."),
        column(
            "language",
            F::Text,
            ("Language", "语言"),
            "Ecosystem it comes from: npm, python, java, gem or php.",
        ),
        column(
            "path",
            F::Path,
            ("Path", "路径"),
            "Folder or archive that holds it; absent where a package of the distribution does.",
        ),
        column(
            "package",
            F::Text,
            ("Package", "软件包"),
            "Package that installed it; absent: none did.",
        ),
    ],
};
