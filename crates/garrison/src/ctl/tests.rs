use expect_test::expect;
use serde_json::json;

use super::client::Client;
use super::table::{self, Language, Style};
use super::{ALARMS, ASKED, segment, some_refused, token};

const PLAIN: Style = Style { language: Language::English, width: None, colour: false };

#[test]
fn tables_line_up_in_both_languages_and_move_no_cursor() {
    let item = |id: &str, host: &str, en: &str, zh: &str| {
        json!({
            "id": id, "severity": "high", "host": { "name": host }, "rule": "GAR-LOG-001",
            "count": 3, "last_at": "2026-11-24T06:00:00Z", "status": "unhandled",
            "sentence": { "en": en, "zh": zh },
        })
    };
    let items = [
        item("finding_1", "web-01", "guessing", "猜测密码"),
        item("finding_22", "订单数据库", "red \u{1b}[31malert", "\u{202e}反转"),
    ];
    expect![[r#"
        ID          SEVERITY  HOST        RULE         COUNT  LAST                  STATUS     WHAT
        finding_1   high      web-01      GAR-LOG-001  3      2026-11-24 06:00:00Z  unhandled  guessing
        finding_22  high      订单数据库  GAR-LOG-001  3      2026-11-24 06:00:00Z  unhandled  red �[31malert
    "#]].assert_eq(&table::of(&items, ALARMS, "none", PLAIN));
    let chinese = table::of(&items, ALARMS, "none", Style { language: Language::Chinese, ..PLAIN });
    assert!(chinese.contains("猜测密码") && chinese.contains("�反转"), "{chinese}");
    assert_eq!(table::of(&[], ALARMS, "no alarm matches", PLAIN), "no alarm matches\n");
}

#[test]
fn a_narrow_terminal_gets_cut_cells_then_paragraphs() {
    let item = |id: &str, host: &str, sentence: &str| {
        json!({
            "id": id, "severity": "high", "host": { "name": host }, "rule": "GAR-LOG-001",
            "count": 3, "last_at": "2026-11-24T06:00:00.123456Z", "status": "unhandled",
            "sentence": { "en": sentence, "zh": sentence },
        })
    };
    let items = [
        item(
            "finding_0688wx3f2k9q4",
            "web-01.production.example.com",
            "203.0.113.7 guessed passwords of root on web-01 and got in at the 412th attempt",
        ),
        item("finding_0688wx3f2k9q5", "订单数据库", "猜测密码"),
    ];
    let at = |width| table::of(&items, ALARMS, "none", Style { width: Some(width), ..PLAIN });
    for width in [80, 150, 200] {
        let widest = at(width).lines().map(crate::terminal::width_of).max();
        assert!(widest <= Some(width), "{width}: {widest:?}");
    }
    expect![[r#"
        ID                     SEVERITY  HOST                           RULE         COUNT  LAST                  STATUS     WHAT
        finding_0688wx3f2k9q4  high      web-01.production.example.com  GAR-LOG-001  3      2026-11-24 06:00:00Z  unhandled  203.0.113.7 guessed passwords of…
        finding_0688wx3f2k9q5  high      订单数据库                     GAR-LOG-001  3      2026-11-24 06:00:00Z  unhandled  猜测密码
    "#]].assert_eq(&at(150));
    expect![[r#"
        finding_0688wx3f2k9q4
          what 203.0.113.7 guessed passwords of root on web-01 and got in at the 412th
               attempt
          severity high  host web-01.production.example.com  rule GAR-LOG-001  count 3
          last 2026-11-24 06:00:00Z  status unhandled
        finding_0688wx3f2k9q5
          what 猜测密码
          severity high  host 订单数据库  rule GAR-LOG-001  count 3
          last 2026-11-24 06:00:00Z  status unhandled
    "#]]
    .assert_eq(&at(80));
}

#[test]
fn what_was_refused_shows_in_the_exit_code() {
    let item = |refused| json!({ "id": "isolated_1", "response": null, "refused": refused });
    let of = |refused| some_refused(json!({ "items": [item(refused)] }), ASKED).refused;
    assert!(of(json!("it is not in the vault any more")));
    assert!(!of(json!(null)));
}

#[test]
fn plans_and_alarms_are_readable() {
    let answer = json!({
        "summary": { "en": "closes 1 event on web-01", "zh": "" },
        "effects": [{ "en": "ends process 7", "zh": "" }],
        "warnings": [{ "en": "it holds for every rule", "zh": "" }],
    });
    expect![[r"
        closes 1 event on web-01
          - ends process 7
          ! it holds for every rule
    "]]
    .assert_eq(&table::plan(&answer, PLAIN));
    let answer = json!({
        "finding": { "id": "finding_1", "severity": "high", "sentence": { "en": "a shell" } },
        "why": { "en": "it is bad" }, "advice": { "en": "end it" }, "confidence": 95,
        "actions": ["ignore", "mark_handled"],
        "evidence": [
            { "type": "processes", "chain": [{ "pid": 7, "user": "root", "command": "sh -i" }] },
            { "type": "fact", "name": "failures", "value": 5 },
            { "type": "change", "path": "/etc/passwd", "removed": ["a"], "added": ["b", "c"] },
            { "type": "match", "field": "Names", "value": ["x", "y"], "pattern": null },
        ],
    });
    expect![[r"
        a shell

        to do      end it
        why        it is bad
        sure       95%
        actions    ignore, mark_handled

        id         finding_1
        severity   high

        evidence
          processes    7 root sh -i
          fact         failures 5
          change       - a
          change       + b
          change       + c
          change       path=/etc/passwd
          match        field=Names value=x, y
    "]]
    .assert_eq(&table::alarm(&answer, PLAIN));
}

#[test]
fn a_token_comes_from_a_file_and_stays_on_this_machine() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    for (text, good) in [("gat_abc\n", true), ("abc", false), ("gat_a b", false), ("", false)] {
        std::fs::write(&file, text).unwrap();
        assert_eq!(token(Some(&file)).is_ok(), good, "{text:?}");
    }
    for (server, says) in [
        ("http://127.0.0.1:8080", ""),
        ("http://[::1]:8080", ""),
        ("https://127.0.0.1", "ssh -L"),
        ("http://192.0.2.1:8080", "in the clear"),
        ("127.0.0.1:8080", "is not like"),
    ] {
        let made = Client::new(server, "gat_x".to_owned());
        let reason = made.err().map(|it| format!("{it:#}")).unwrap_or_default();
        assert_eq!(reason.is_empty(), says.is_empty(), "{server}: {reason}");
        assert!(reason.contains(says), "{server}: {reason}");
    }
    for (id, good) in [("finding_1", true), ("../users", false), ("a/b", false), ("", false)] {
        assert_eq!(segment(id).is_ok(), good, "{id}");
    }
}
