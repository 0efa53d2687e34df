use model::asset::ColumnForm as F;
use model::asset::{Column, Spec};

pub(super) static SPEC: Spec = Spec {
    kind: "container",
    title: ("Containers", "容器"),
    about: (
        "Running containers, known by the control groups of their processes (Docker, containerd, CRI-O, Podman, LXC, systemd-nspawn).",
        "通过进程的控制组识别的运行中容器（Docker、containerd、CRI-O、Podman、LXC、systemd-nspawn）。",
    ),
    key: &["runtime", "id"],
    columns: &[
        Column {
            name: "id",
            form: F::Text,
            title: ("Container", "容器"),
            about: "Id of 64 hexadecimal digits, or the name of an LXC or nspawn container.",
            volatile: false,
            shown: true,
        },
        Column {
            name: "runtime",
            form: F::Text,
            title: ("Runtime", "运行时"),
            about: "What made the container; unknown where the control group does not tell.",
            volatile: false,
            shown: true,
        },
        Column {
            name: "pod",
            form: F::Text,
            title: ("Pod", "Pod"),
            about: "Id of the Kubernetes pod, where there is one.",
            volatile: false,
            shown: true,
        },
        Column {
            name: "processes",
            form: F::Integer,
            title: ("Processes", "进程数"),
            about: "Number of processes inside.",
            volatile: true,
            shown: true,
        },
        Column {
            name: "first_pid",
            form: F::Integer,
            title: ("First PID", "首个 PID"),
            about: "The process that runs longest, by the host's numbering.",
            volatile: false,
            shown: false,
        },
        Column {
            name: "command",
            form: F::Text,
            title: ("Command line", "命令行"),
            about: "Command line of the first process, secrets masked.",
            volatile: false,
            shown: true,
        },
        Column {
            name: "started_at",
            form: F::Time,
            title: ("Started", "启动时间"),
            about: "Start of the first process.",
            volatile: false,
            shown: true,
        },
    ],
};
