use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use model::finding::{Evidence, Finding, FindingKind, Severity, Text};
use model::time::Timestamp;
use serde_json::json;

use super::terminal::Style;
use super::*;

fn text(en: &str, zh: &str) -> Text {
    Text { en: en.to_owned(), zh: zh.to_owned() }
}

fn report() -> Report {
    let made = Finding {
        kind: FindingKind::AssetRisk,
        rule: "GAR-AST-001".to_owned(),
        category: "dangerous_port".to_owned(),
        severity: Severity::High,
        subject: "tcp|6379".to_owned(),
        sentence: text(
            "Port 6379/tcp (redis) answers every address <without> a password",
            "端口 6379/tcp 对所有地址开放且无密码",
        ),
        params: serde_json::Map::new(),
        evidence: vec![Evidence::File {
            path: "/etc/redis/redis conf".to_owned(),
            line: Some(12),
            text: Some("bind 0.0.0.0\u{1b}[31m".to_owned()),
            sha256: None,
            package: None,
        }],
        first_at: Timestamp(0),
        last_at: Timestamp(0),
        occurrences: 1,
        resolved: false,
        incident: String::new(),
        confidence: 0,
    };
    Report {
        format: "garrison-report",
        version: VERSION,
        garrison_version: "0.1.0",
        generated_at: Timestamp::from_secs(1_790_000_000),
        took_ms: 412,
        host: HostSummary {
            name: "web-01".to_owned(),
            os: "Debian GNU/Linux 12".to_owned(),
            kernel: None,
            arch: "x86_64".to_owned(),
        },
        root: "/".to_owned(),
        items: vec![Item {
            id: "asset.port".to_owned(),
            title: text("Open ports", "开放端口"),
            state: ItemState::Partial,
            rows: 1,
            skipped: vec!["/proc/1/fd: permission denied".to_owned()],
        }],
        findings: vec![finding(
            made,
            text("Dangerous port", "危险端口"),
            text("Anyone who reaches it controls the data.", "任何能连接的人都能控制数据。"),
            text("Bind it to loopback or set a password.", "绑定到回环地址或设置密码。"),
        )],
        assets: BTreeMap::from([("port".to_owned(), vec![])]),
    }
}

#[track_caller]
fn check(actual: &str, expected: Expect) {
    expected.assert_eq(actual);
}

#[test]
fn terminal_english() {
    let style = Style { colour: false, width: 60, language: Language::En };
    check(
        &terminal::render(&report(), style),
        expect![[r#"
            Scan of web-01  Debian GNU/Linux 12 · x86_64
            Garrison 0.1.0 · 2026-09-21T14:13:20Z · 0.41 s

             0 critical   1 high   0 medium   0 low 

            HIGH        Port 6379/tcp (redis) answers every address
                        <without> a password
              why       Anyone who reaches it controls the data.
              do        Bind it to loopback or set a password.
              proof     /etc/redis/redis conf:12  bind 0.0.0.0�[31m
              id        GAR-AST-001 · f-39050630cd6b2cd7

              checked   Open ports 1
              not read  /proc/1/fd: permission denied
        "#]],
    );
}

#[test]
fn terminal_chinese_folds_by_columns() {
    let style = Style { colour: false, width: 40, language: Language::Zh };
    check(
        &terminal::render(&report(), style),
        expect![[r#"
            主机扫描 web-01  Debian GNU/Linux 12 · x86_64
            Garrison 0.1.0 · 2026-09-21T14:13:20Z · 0.41 s

             0 致命   1 高危   0 中危   0 低危 

            高危        端口 6379/tcp
                        对所有地址开放且无密码
              原因      任何能连接的人都能控制数据。
              建议      绑定到回环地址或设置密码。
              证据      /etc/redis/redis conf:12
                        bind 0.0.0.0�[31m
              id        GAR-AST-001 ·
                        f-39050630cd6b2cd7

              已检查    开放端口 1
              未读取    /proc/1/fd: permission
                        denied
        "#]],
    );
}

#[test]
fn html_escapes_what_hosts_say() {
    let page = html::render(&report(), Language::En);
    assert!(page.contains("answers every address &lt;without&gt; a password"));
    assert!(!page.contains('\u{1b}'));
    assert!(!page.contains("<script"));
}

#[test]
fn sarif_has_a_place_and_a_stable_fingerprint() {
    let sarif = sarif::render(&report());
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["level"], "error");
    assert_eq!(
        result["locations"][0]["physicalLocation"],
        json!({ "artifactLocation": { "uri": "file:///etc/redis/redis%20conf" }, "region": { "startLine": 12 } })
    );
    assert_eq!(result["partialFingerprints"]["garrison/v1"], report().findings[0].id.as_str());
    assert_eq!(
        sarif["runs"][0]["invocations"][0]["toolExecutionNotifications"][0]["descriptor"]["id"],
        "asset.port"
    );
}

#[test]
fn worst_first() {
    let mut it = report();
    let mut low = report().findings.remove(0);
    low.severity = Severity::Low;
    it.findings.insert(0, low);
    it.sort();
    assert_eq!(
        it.findings.iter().map(|it| it.severity).collect::<Vec<_>>(),
        [Severity::High, Severity::Low]
    );
    assert_eq!(it.worst(), Some(Severity::High));
}
