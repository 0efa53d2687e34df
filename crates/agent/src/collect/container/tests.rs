use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn control_groups_tell_the_container() {
    let uid = "12345678-1234-1234-1234-123456789abc";
    let under = uid.replace('-', "_");
    let cases = [
        (format!("0::/system.slice/docker-{ID}.scope\n"), Some((Runtime::Docker, ID, None))),
        (
            format!("12:pids:/docker/{ID}\n0::/system.slice/containerd.service\n"),
            Some((Runtime::Docker, ID, None)),
        ),
        (
            format!("0::/machine.slice/libpod-{ID}.scope/container"),
            Some((Runtime::Podman, ID, None)),
        ),
        (format!("0::/machine.slice/libpod-conmon-{ID}.scope"), None),
        (
            format!("0::/kubepods.slice/kubepods-pod{under}.slice/cri-containerd-{ID}.scope"),
            Some((Runtime::Containerd, ID, Some(uid))),
        ),
        (
            format!("1:cpu:/kubepods-burstable-pod{under}.slice:cri-containerd:{ID}"),
            Some((Runtime::Containerd, ID, Some(uid))),
        ),
        (
            format!("4:memory:/kubepods/burstable/pod{uid}/{ID}"),
            Some((Runtime::Unknown, ID, Some(uid))),
        ),
        (format!("0::/kubepods.slice/crio-{ID}.scope"), Some((Runtime::CriO, ID, None))),
        (format!("0::/default/{ID}"), Some((Runtime::Containerd, ID, None))),
        ("0::/lxc.payload.web/system.slice/ssh.service".into(), Some((Runtime::Lxc, "web", None))),
        ("3:cpu:/lxc/web\n".into(), Some((Runtime::Lxc, "web", None))),
        ("0::/lxc.monitor.web".into(), None),
        (
            "0::/machine.slice/systemd-nspawn@lab.service/payload".into(),
            Some((Runtime::Nspawn, "lab", None)),
        ),
        ("0::/system.slice/ssh.service\n".into(), None),
        ("0::/user.slice/user-1000.slice/session-2.scope".into(), None),
        (String::new(), None),
        ("garbage\n::\n0:/\n".into(), None),
    ];
    for (cgroup, expected) in cases {
        let found = parse(cgroup.as_bytes());
        let found = found.as_ref().map(|it| (it.runtime, it.id.as_str(), it.pod.as_deref()));
        assert_eq!(found, expected, "{cgroup}");
    }
}

#[test]
fn whole_files() {
    let docker = parse(include_bytes!("fixtures/cgroup-v1-docker")).unwrap();
    assert_eq!((docker.runtime, docker.id.as_str()), (Runtime::Docker, ID));
    let pod = parse(include_bytes!("fixtures/cgroup-v2-kubernetes")).unwrap();
    assert_eq!(pod.runtime, Runtime::Containerd);
    assert_eq!(pod.pod.as_deref(), Some("12345678-1234-1234-1234-123456789abc"));
}

#[test]
fn short_names() {
    let it = |id: &str| ContainerRef { runtime: Runtime::Lxc, id: id.into(), pod: None }.short();
    assert_eq!((it(ID).as_str(), it("web").as_str()), ("0123456789ab", "web"));
}
