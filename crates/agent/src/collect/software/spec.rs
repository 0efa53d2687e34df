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
    kind: "software",
    title: ("Software", "软件"),
    about: (
        "Packages of the distribution and libraries of Python, Node.js, Java, Ruby and Go programs, read from their own records.",
        "发行版软件包，以及 Python、Node.js、Java、Ruby 和 Go 程序的库，均读取自其自身的记录。",
    ),
    key: &["ecosystem", "name", "version", "arch", "path"],
    columns: &[
        column(
            "name",
            F::Text,
            ("Name", "名称"),
            "Name in its ecosystem; group:artifact for Maven.",
            true,
        ),
        column(
            "version",
            F::Text,
            ("Version", "版本"),
            "Version as the ecosystem writes it.",
            true,
        ),
        column(
            "ecosystem",
            F::Text,
            ("Ecosystem", "类型"),
            "dpkg, rpm, apk, python, npm, java, gem or go.",
            true,
        ),
        column(
            "arch",
            F::Text,
            ("Architecture", "架构"),
            "Architecture the package was built for.",
            false,
        ),
        column(
            "source",
            F::Text,
            ("Source package", "源码包"),
            "Package or file it was built from, where it differs from the name.",
            false,
        ),
        column(
            "path",
            F::Path,
            ("Path", "路径"),
            "Where it lies; absent for packages of the distribution. What lies inside an archive follows a !.",
            true,
        ),
        column(
            "installed_at",
            F::Time,
            ("Installed", "安装时间"),
            "When this version was installed, as the package database or the time of its record tells.",
            true,
        ),
    ],
};
