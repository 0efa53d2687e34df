//! The language by what it says of events: one table for each modifier, and what is refused.

use expect_test::{Expect, expect};
use model::time::Timestamp;
use proptest::prelude::*;

use super::rule::query;
use super::*;
use crate::content::{Catalogue, cases};
use crate::detect::{Engine, UserRule};
use crate::event::{Category, Event, Field, Form, Value};

/// An event from `Field=value` pairs; a list is written `a,b`.
fn event(pairs: &[(&str, &str)]) -> Event {
    let mut event = Event::new(Category::ProcessCreation, Timestamp::from_secs(1_767_225_600));
    for (name, text) in pairs {
        let field: Field = name.parse().unwrap();
        let value = match field.form() {
            Form::Text => Value::from(*text),
            Form::Integer => Value::from(text.parse::<i64>().unwrap()),
            Form::Bool => Value::from(*text == "true"),
            Form::List => Value::from(text.split(',').map(str::to_owned).collect::<Vec<_>>()),
        };
        event.set(field, value);
    }
    event
}

fn asked(detection: &str, audit: bool, event: &Event) -> Result<bool, Fault> {
    let source = if audit { "{service: auditd}" } else { "{category: process_creation}" };
    let mut placeholders = Placeholders::new();
    placeholders.insert("admins".to_owned(), vec!["ann".to_owned(), "b*b".to_owned()]);
    let mut tests = expression::Tests::default();
    let node = Node::parse(detection)?;
    let query = query(&Node::parse(source)?, &node, &placeholders, &mut tests)?;
    Ok(query.expr.holds(&mut |id| tests.holds(id, event)))
}

/// `line` is the one line of the only selection.
fn line(line: &str, pairs: &[(&str, &str)]) -> bool {
    let detection = format!("selection:\n  {line}\ncondition: selection\n");
    asked(&detection, false, &event(pairs)).unwrap_or_else(|it| panic!("{line}: {it}"))
}

/// The line of a selection, an event, and whether the one holds for the other.
type Row<'t> = (&'t str, &'t [(&'t str, &'t str)], bool);

#[track_caller]
fn assert_table(rows: &[Row<'_>]) {
    for (text, pairs, want) in rows {
        assert_eq!(line(text, pairs), *want, "{text} on {pairs:?}");
    }
}

#[test]
fn values_wildcards_and_escapes() {
    assert_table(&[
        ("Image: /bin/SH", &[("Image", "/BIN/sh")], true),
        ("Image: /bin/s", &[("Image", "/bin/sh")], false),
        ("Image: '/bin/s?'", &[("Image", "/bin/sh")], true),
        ("Image: '/bin/s?'", &[("Image", "/bin/sé")], true),
        ("Image: '/bin/sh?'", &[("Image", "/bin/sh")], false),
        ("Image: '/*/sh*'", &[("Image", "/usr/bin/sh")], true),
        ("Image: 'a*b*a'", &[("Image", "aba")], true),
        ("Image: 'a*b*a'", &[("Image", "ab")], false),
        ("Image: '*?'", &[("Image", "")], false),
        ("Image: ÉÀ", &[("Image", "éà")], true),
        (r"Image: 'a\*'", &[("Image", "a*")], true),
        (r"Image: 'a\*'", &[("Image", "ab")], false),
        (r"Image: 'a\\*'", &[("Image", r"a\b")], true),
        (r"Image: 'a\\\*'", &[("Image", r"a\*")], true),
        (r"Image: 'a\b'", &[("Image", r"a\b")], true),
        (r"Image: 'a\\b'", &[("Image", r"a\b")], true),
        (r"Image: 'a\\\\b'", &[("Image", r"a\\b")], true),
        ("Image: ''", &[("Image", "")], true),
        ("Image: ''", &[], false),
        ("Image: null", &[], true),
        ("Image: null", &[("Image", "")], false),
        ("Image: [a, b]", &[("Image", "b")], true),
        // Only true and false are no texts: YAML 1.1 would take these for more of them.
        ("Image: no", &[("Image", "no")], true),
        ("Image: [y, on]", &[("Image", "on")], true),
        ("UserId: 0", &[("UserId", "0")], true),
        ("UserId: '0'", &[("UserId", "0")], true),
        ("UserId: '1*'", &[("UserId", "1000")], true),
        ("FirstSeen: true", &[("FirstSeen", "true")], true),
        ("FirstSeen: 'False'", &[("FirstSeen", "false")], true),
        ("FirstSeen: false", &[], false),
        ("AncestorImages: b", &[("AncestorImages", "a,b")], true),
    ]);
}

#[test]
fn modifiers_of_texts() {
    assert_table(&[
        ("CommandLine|contains: B C", &[("CommandLine", "ab cd")], true),
        ("CommandLine|startswith: ab", &[("CommandLine", "ABc")], true),
        ("CommandLine|startswith: b", &[("CommandLine", "abc")], false),
        ("CommandLine|endswith: bc", &[("CommandLine", "abc")], true),
        ("CommandLine|endswith: ab", &[("CommandLine", "abc")], false),
        ("CommandLine|contains|all: [a, c]", &[("CommandLine", "abc")], true),
        ("CommandLine|contains|all: [a, d]", &[("CommandLine", "abc")], false),
        ("CommandLine|contains|cased: B", &[("CommandLine", "abc")], false),
        ("CommandLine|contains|cased: b", &[("CommandLine", "abc")], true),
        ("CommandLine|contains: 'a*c'", &[("CommandLine", "xabbcx")], true),
        ("CommandLine|neq: a", &[("CommandLine", "b")], true),
        ("CommandLine|neq: [a, b]", &[("CommandLine", "b")], false),
        ("CommandLine|contains|neq: a", &[("CommandLine", "xax")], false),
        ("CommandLine|exists: true", &[("CommandLine", "")], true),
        ("CommandLine|exists: false", &[], true),
        ("CommandLine|exists: true", &[], false),
        ("CommandLine|windash|contains: ' -x'", &[("CommandLine", "a /x")], true),
        ("CommandLine|windash|contains: ' -x'", &[("CommandLine", "a –x")], true),
        ("CommandLine|windash|contains: 'a-b'", &[("CommandLine", "a/b")], false),
        ("User|expand: '%admins%'", &[("User", "ANN")], true),
        ("User|expand: '%admins%'", &[("User", "bob")], true),
        ("User|expand: 'x%admins%'", &[("User", "xann")], true),
        (r"User|expand: '\%admins%admins%'", &[("User", "%adminsann")], true),
        ("User: '%admins%'", &[("User", "%admins%")], true),
    ]);
}

#[test]
fn encodings() {
    let text = |it: &'static str| [("CommandLine", it)];
    assert_table(&[
        ("CommandLine|base64: foobar", &text("Zm9vYmFy"), true),
        ("CommandLine|base64: foo b", &text("Zm9vIGI="), true),
        ("CommandLine|base64|contains: foobar", &text("echo Zm9vYmFy | sh"), true),
        // "sh -i" at each of the three offsets: "sh -i!", "xsh -i!", "xxsh -i!".
        ("CommandLine|base64offset|contains: sh -i", &text("c2ggLWkh"), true),
        ("CommandLine|base64offset|contains: sh -i", &text("eHNoIC1pIQ=="), true),
        ("CommandLine|base64offset|contains: sh -i", &text("eHhzaCAtaSE="), true),
        ("CommandLine|base64offset|contains: sh -i", &text("c2gtLWkh"), false),
        ("CommandLine|wide|base64: ab", &text("YQBiAA=="), true),
        ("CommandLine|utf16le|base64: ab", &text("YQBiAA=="), true),
        ("CommandLine|utf16be|base64: ab", &text("AGEAYg=="), true),
        ("CommandLine|utf16|base64: ab", &text("//5hAGIA"), true),
        ("CommandLine|wide: ab", &text("a\0b\0"), true),
    ]);
}

#[test]
fn modifiers_of_forms() {
    assert_table(&[
        ("CommandLine|re: '^a.c$'", &[("CommandLine", "abc")], true),
        ("CommandLine|re: B", &[("CommandLine", "abc")], false),
        ("CommandLine|re|i: B", &[("CommandLine", "abc")], true),
        ("CommandLine|re|m: '^b$'", &[("CommandLine", "a\nb")], true),
        ("CommandLine|re: 'a.b'", &[("CommandLine", "a\nb")], false),
        ("CommandLine|re|s: 'a.b'", &[("CommandLine", "a\nb")], true),
        ("CommandLine|re|all: [a, b]", &[("CommandLine", "ba")], true),
        ("DestinationIp|cidr: 10.0.0.0/8", &[("DestinationIp", "10.200.1.1")], true),
        ("DestinationIp|cidr: 10.0.0.0/8", &[("DestinationIp", "::ffff:10.1.1.1")], true),
        ("DestinationIp|cidr: 10.0.0.0/8", &[("DestinationIp", "11.0.0.1")], false),
        ("DestinationIp|cidr: 0.0.0.0/0", &[("DestinationIp", "11.0.0.1")], true),
        ("DestinationIp|cidr: '2001:db8::/32'", &[("DestinationIp", "2001:db8:1::1")], true),
        ("DestinationIp|cidr: '::/0'", &[("DestinationIp", "11.0.0.1")], false),
        ("DestinationPort|gt: 5", &[("DestinationPort", "5")], false),
        ("DestinationPort|gte: 5", &[("DestinationPort", "5")], true),
        ("DestinationPort|lt: 5.5", &[("DestinationPort", "5")], true),
        ("DestinationPort|lte: 4", &[("DestinationPort", "5")], false),
        ("DestinationPort|gt|neq: 4", &[("DestinationPort", "5")], false),
        ("User|fieldref: ParentUser", &[("User", "Ann"), ("ParentUser", "ann")], true),
        ("User|fieldref|neq: ParentUser", &[("User", "a"), ("ParentUser", "b")], true),
        ("User|fieldref: ParentUser", &[("User", "a")], false),
        ("Image|fieldref|endswith: ProcessName", &[("Image", "/a/b"), ("ProcessName", "b")], true),
        // 2026-01-01, a Thursday, 00:00 UTC.
        ("EventTime|hour: 0", &[], true),
        ("EventTime|minute|gt: 0", &[], false),
        ("EventTime|day: 1", &[], true),
        ("EventTime|week: 1", &[], true),
        ("EventTime|month|lte: 1", &[], true),
        ("EventTime|year: 2026", &[], true),
    ]);
}

#[test]
fn parts_of_time() {
    use super::expression::TimePart::*;
    // 2021-01-03, a Sunday of week 53 of the year before; 1969-12-31 23:59; 2024-02-29.
    for (seconds, part, want) in [
        (1_609_632_000, Week, 53),
        (1_609_718_400, Week, 1),
        (-60, Year, 1969),
        (-60, Minute, 59),
        (-60, Day, 31),
        (1_709_164_800, Day, 29),
        (1_709_164_800, Month, 2),
    ] {
        assert_eq!(part.of(Timestamp::from_secs(seconds)), want, "{seconds} {part:?}");
    }
}

#[test]
fn selections_and_conditions() {
    let text = "
sel_a: {Image: /a}
sel_b:
  - {Image: /b, User: ann}
  - {Image: /c}
_hidden: {Image: /h}
words: [curl, wget]
both: {'|all': [curl, sh]}
";
    let asks = |condition: &str, pairs: &[(&str, &str)]| {
        asked(&format!("{text}condition: {condition}\n"), false, &event(pairs)).unwrap()
    };
    for (condition, pairs, want) in [
        ("sel_a or sel_b", &[("Image", "/c")][..], true),
        ("sel_b", &[("Image", "/b")], false),
        ("sel_b", &[("Image", "/b"), ("User", "ann")], true),
        ("1 of sel_*", &[("Image", "/a")], true),
        ("all of sel_*", &[("Image", "/a")], false),
        ("1 of them", &[("Image", "/h")], false),
        ("1 of _*", &[("Image", "/h")], true),
        ("not sel_a and not sel_b", &[("Image", "/x")], true),
        // `and` binds closer than `or`, `not` closer than `and`.
        ("sel_a or sel_b and words", &[("Image", "/a")], true),
        ("(sel_a or sel_b) and words", &[("Image", "/a")], false),
        ("NOT sel_a AND words", &[("CommandLine", "x Curl y")], true),
        ("words", &[("TargetFilename", "/tmp/wget.log")], true),
        ("words", &[("ParentCommandLine", "curl")], false),
        ("both", &[("Image", "/usr/bin/curl"), ("CommandLine", "| sh")], true),
        ("both", &[("Image", "/usr/bin/curl")], false),
        ("[sel_a, sel_b]", &[("Image", "/c")], true),
    ] {
        assert_eq!(asks(condition, pairs), want, "{condition} on {pairs:?}");
    }
}

#[test]
fn audit_records_are_facts_of_events() {
    let event = event(&[("Image", "/bin/cat"), ("Arguments", "cat,/etc/shadow")]);
    for (selection, want) in [
        ("{type: EXECVE, a0: cat, a1: /etc/shadow}", true),
        ("{type: EXECVE, a1|startswith: /etc}", true),
        ("{type: EXECVE, a2: x}", false),
        ("{type: SYSCALL, exe: /bin/cat, syscall: execve}", true),
        ("{type: PATH}", false),
    ] {
        let detection = format!("s: {selection}\ncondition: s\n");
        assert_eq!(asked(&detection, true, &event), Ok(want), "{selection}");
    }
}

#[test]
fn what_cannot_work_says_where_and_why() {
    let refused = |detection: &str, want: Expect| {
        want.assert_eq(&asked(detection, false, &event(&[])).unwrap_err().to_string());
    };
    let selection = |it: &str| format!("s:\n  User: a\n  {it}\ncondition: s\n");
    for (line, want) in [
        ("Imagee: a", expect!["line 3: cannot work here: field Imagee is not in the taxonomy"]),
        ("Image|foo: a", expect!["line 3: Image|foo: `foo` is no modifier"]),
        ("Image|all: a", expect!["line 3: Image|all: `all` needs a list of two or more values"]),
        (
            "Image|re: '(?=a)'",
            expect![
                "line 3: Image|re: regular expression: look-around, including look-ahead and look-behind, is not supported"
            ],
        ),
        (
            r"Image|re: '(\w{500}){500}'",
            expect![
                "line 3: Image|re: regular expression: it needs more than 1048576 bytes when compiled"
            ],
        ),
        (
            "Image|expand: '%nobody%'",
            expect!["line 3: Image|expand: cannot work here: placeholder %nobody% is not defined"],
        ),
        (
            "Image|base64: 'a*'",
            expect!["line 3: Image|base64: a value with wildcards cannot be encoded in Base64"],
        ),
        (
            "Image: [a, null]",
            expect!["line 3: Image: null cannot stand in a list: give it its own selection"],
        ),
        ("UserId: root", expect!["line 3: UserId: the field is a number, which `root` is not"]),
        (
            "DestinationIp|cidr: 10.0.0.0/33",
            expect!["line 3: DestinationIp|cidr: `/33` is not a prefix length of 0 to 32"],
        ),
        ("FirstSeen: maybe", expect!["line 3: FirstSeen: the field is true or false"]),
        (
            "Image|hour: 3",
            expect![
                "line 3: Image|hour: parts of time (minute, hour, ...) go with EventTime, and nothing else goes with it"
            ],
        ),
        (
            "Image|re|contains: a",
            expect!["line 3: Image|re|contains: these modifiers cannot be joined"],
        ),
    ] {
        refused(&selection(line), want);
    }
    refused("s: {User: a}\n", expect!["line 1: the condition is missing"]);
    refused(
        "s: {User: a}\ncondition: t\n",
        expect!["line 2: the condition names `t`, which is no selection"],
    );
    refused(
        "s: {User: a}\ncondition: s | count() > 3\n",
        expect!["line 2: `|` in a condition is the old way to count: use a correlation rule"],
    );
    refused(
        &format!("s: {{User: a}}\ncondition: {}s{}\n", "(".repeat(80), ")".repeat(80)),
        expect!["line 2: the condition is nested deeper than 64"],
    );
}

fn user(file: &str, text: &str) -> UserRule {
    UserRule { file: file.to_owned(), text: text.to_owned() }
}

fn sigma(id: &str, name: &str, selection: &str) -> String {
    format!(
        "title: {id}\nid: {id}\nname: {name}\nauthor: Someone\nlicense: DRL-1.1\nlogsource: {{product: linux, category: process_creation}}\ndetection:\n  s: {selection}\n  condition: s\nlevel: high\n"
    )
}

fn engine(files: &[UserRule]) -> Engine {
    Engine::new(&Catalogue::default(), files).unwrap()
}

#[test]
fn one_wrong_rule_leaves_the_others() {
    let files = [
        user("good.yml", &sigma("r1", "one", "{Image: /a}")),
        user("bad.yml", &sigma("r2", "two", "{Nothing: /a}")),
        user("yaml.yml", "title: [\n"),
        user(
            "mixed.yml",
            &format!("{}---\n{}", sigma("r3", "three", "{User: a}"), sigma("r1", "x", "{User: b}")),
        ),
    ];
    let mut engine = engine(&files);
    let refusals: Vec<_> = engine.refusals().iter().map(ToString::to_string).collect();
    assert_eq!(refusals.len(), 3, "{refusals:?}");
    assert_eq!(refusals[0], "bad.yml:8: cannot work here: field Nothing is not in the taxonomy");
    assert!(refusals.iter().any(|it| it.starts_with("yaml.yml:")), "{refusals:?}");
    assert!(
        refusals.iter().any(|it| it == "mixed.yml:12: the id or name r1 is taken by another rule"),
        "{refusals:?}"
    );
    let found = engine.evaluate(&event(&[("Image", "/a"), ("User", "a")]));
    assert_eq!(found.iter().map(|it| it.rule.id.as_str()).collect::<Vec<_>>(), ["r1", "r3"]);
    let finding = found[0].finding(Vec::new(), "i".to_owned());
    assert_eq!((finding.rule.as_str(), finding.subject.as_str()), ("r1", "/a|-|a"));
    let evidence = serde_json::to_string(&finding.evidence).unwrap();
    assert!(evidence.contains("Image: /a") && evidence.contains("Someone"), "{evidence}");
    engine.set_disabled(&["r1".to_owned()]);
    assert_eq!(engine.evaluate(&event(&[("Image", "/a")])).len(), 0);
}

#[test]
fn filters_must_hold_too() {
    let filter = "title: f\nlogsource: {product: linux, category: process_creation}\nfilter:\n  rules: [one]\n  who: {User: ann}\n  condition: not who\n";
    let mut engine =
        engine(&[user("a.yml", &sigma("r1", "one", "{Image: /a}")), user("f.yml", filter)]);
    assert_eq!(engine.refusals(), []);
    assert_eq!(engine.evaluate(&event(&[("Image", "/a"), ("User", "bob")])).len(), 1);
    assert_eq!(engine.evaluate(&event(&[("Image", "/a"), ("User", "ann")])).len(), 0);
}

/// Fires of `correlation` for `(second, image, user)`.
fn correlated(correlation: &str, events: &[(i64, &str, &str)]) -> Vec<i64> {
    let files = [
        user("a.yml", &sigma("ra", "a", "{Image: /a}")),
        user("b.yml", &sigma("rb", "b", "{Image: /b}")),
        user("c.yml", &format!("title: c\nid: rc\nname: c\ncorrelation: {correlation}\n")),
    ];
    let mut engine = engine(&files);
    assert_eq!(engine.refusals(), []);
    let mut fired = Vec::new();
    for (second, image, name) in events {
        let mut event = event(&[("Image", image), ("User", name)]);
        event.at = Timestamp::from_secs(*second);
        // What correlations remember survives a restart between any two events.
        let state = serde_json::to_string(&engine.state()).unwrap();
        engine.forget();
        engine.restore(serde_json::from_str(&state).unwrap(), event.at);
        fired.extend(engine.evaluate(&event).iter().map(|it| {
            assert_eq!(it.rule.id, "rc");
            *second
        }));
    }
    fired
}

#[test]
fn correlations() {
    let count =
        "{type: event_count, rules: [a], group-by: [User], timespan: 10s, condition: {gte: 3}}";
    let a = |second| (second, "/a", "u");
    assert_eq!(correlated(count, &[a(0), a(5), a(10)]), [10]);
    assert_eq!(correlated(count, &[a(0), a(5), a(11)]), [] as [i64; 0]);
    assert_eq!(correlated(count, &[a(0), (1, "/a", "v"), a(2), (3, "/a", "w")]), [] as [i64; 0]);
    // It goes on: once more after another span.
    assert_eq!(correlated(count, &[a(0), a(1), a(2), a(3), a(8), a(12), a(13)]), [2, 12]);
    let value = "{type: value_count, rules: [a, b], group-by: [User], timespan: 10s, condition: {field: Image, gt: 1}}";
    assert_eq!(correlated(value, &[a(0), a(1), (2, "/b", "u")]), [2]);
    let both = "{type: temporal, rules: [a, b], group-by: [User], timespan: 10s}";
    assert_eq!(correlated(both, &[(0, "/b", "u"), a(9)]), [9]);
    assert_eq!(correlated(both, &[(0, "/b", "u"), a(11)]), [] as [i64; 0]);
    let ordered = "{type: temporal_ordered, rules: [a, b], group-by: [User], timespan: 10s}";
    assert_eq!(correlated(ordered, &[(0, "/b", "u"), a(5)]), [] as [i64; 0]);
    assert_eq!(correlated(ordered, &[a(0), a(8), (12, "/b", "u")]), [12]);
    let alias = "{type: temporal, rules: [a, b], group-by: [who], timespan: 10s, aliases: {who: {a: User, b: User}}}";
    assert_eq!(correlated(alias, &[a(0), (1, "/b", "u")]), [1]);
}

/// A third event within the span counts whatever the clock did since the first two, also over a
/// restart, and one beyond it does not.
#[test]
fn a_clock_that_is_set_neither_hides_nor_makes_an_alarm() {
    const HOUR: i64 = 3_600;
    let kinds = [
        "{type: event_count, rules: [a], group-by: [User], timespan: 10s, condition: {gte: 3}}",
        "{type: value_count, rules: [a], group-by: [User], timespan: 10s, condition: {field: CommandLine, gte: 3}}",
        "{type: temporal, rules: [a, b], group-by: [User], timespan: 10s}",
        "{type: temporal_ordered, rules: [a, b], group-by: [User], timespan: 10s}",
    ];
    // Seconds from the first event to the last, whether the engine hears of the change or is off
    // meanwhile, and whether the rule holds then.
    let cases = [(8, true, true), (12, true, false), (8, false, true)];
    for (kind, set_s) in kinds.iter().flat_map(|kind| [(kind, -5 * HOUR), (kind, 5 * HOUR)]) {
        for (after_s, hears, fires) in cases.into_iter().filter(|it| it.1 || set_s < 0) {
            let files = [
                user("a.yml", &sigma("ra", "a", "{Image: /a}")),
                user("b.yml", &sigma("rb", "b", "{Image: /b}")),
                user("c.yml", &format!("title: c\nid: rc\nname: c\ncorrelation: {kind}\n")),
            ];
            let mut engine = engine(&files);
            let at = |engine: &mut Engine, second: i64, image: &str| {
                let line = second.to_string();
                let mut event = event(&[("Image", image), ("User", "u"), ("CommandLine", &line)]);
                event.at = Timestamp::from_secs(50 * HOUR + second);
                engine.evaluate(&event).len()
            };
            assert_eq!(at(&mut engine, 0, "/a") + at(&mut engine, 1, "/a"), 0, "{kind}");
            if hears {
                engine.move_clock(set_s * 1_000_000);
            } else {
                let state = serde_json::to_string(&engine.state()).unwrap();
                engine.forget();
                let now = Timestamp::from_secs(50 * HOUR + after_s + set_s);
                engine.restore(serde_json::from_str(&state).unwrap(), now);
            }
            let last = if kind.contains("temporal") { "/b" } else { "/a" };
            let found = at(&mut engine, after_s + set_s, last);
            assert_eq!(found > 0, fires, "{kind} set by {set_s} s, after {after_s} s");
        }
    }
}

#[test]
fn correlations_of_correlations_and_what_is_refused() {
    let base = user("a.yml", &sigma("ra", "a", "{Image: /a}"));
    let chain = "title: n\nid: rn\ncorrelation: {type: event_count, rules: [m], timespan: 1h, condition: {gte: 1}}\n---\ntitle: m\nid: rm\nname: m\ncorrelation: {type: event_count, rules: [a], timespan: 1m, condition: {gte: 2}}\n";
    let mut engine_ = engine(&[base.clone(), user("n.yml", chain)]);
    assert_eq!(engine_.refusals(), []);
    let hit = event(&[("Image", "/a")]);
    assert_eq!(engine_.evaluate(&hit).len(), 0);
    assert_eq!(engine_.evaluate(&hit)[0].rule.id, "rn");
    for (text, want) in [
        (
            "{type: value_sum, rules: [a], timespan: 1m, condition: {gte: 2}}",
            "correlations of type value_sum are not supported",
        ),
        (
            "{type: event_count, rules: [z], timespan: 1m, condition: {gte: 2}}",
            "joins `z`, which is no rule",
        ),
        ("{type: event_count, rules: [c], timespan: 1m, condition: {gte: 2}}", "joins itself"),
        ("{type: event_count, rules: [a], timespan: 1x, condition: {gte: 2}}", "is no time span"),
        (
            "{type: event_count, rules: [a], timespan: 1m, condition: {gte: 9999}}",
            "beyond 1024 is not kept",
        ),
        ("{type: event_count, rules: [a], timespan: 1m}", "has no condition"),
    ] {
        let file = user("c.yml", &format!("title: c\nid: c\ncorrelation: {text}\n"));
        let refusals = engine(&[base.clone(), file]).refusals().to_vec();
        assert!(refusals.len() == 1 && refusals[0].reason.contains(want), "{refusals:?}");
    }
}

#[test]
fn memory_is_bounded_and_its_loss_counted() {
    let count = "title: c\nid: rc\ncorrelation: {type: event_count, rules: [a], group-by: [User], timespan: 1d, condition: {gte: 1000}}\n";
    let mut engine =
        engine(&[user("a.yml", &sigma("ra", "a", "{Image: /a}")), user("c.yml", count)]);
    let groups = GROUPS_MAX + 1_000;
    for number in 0..groups {
        let mut event = event(&[("Image", "/a"), ("User", &number.to_string())]);
        event.at = Timestamp::from_secs(number as i64);
        engine.evaluate(&event);
    }
    let lost = engine.losses().correlation_entries;
    assert!(lost > 0 && lost < 2_000, "{lost}");
    let state = serde_json::to_value(engine.state()).unwrap();
    assert!(state["correlations"]["rc"]["groups"].as_object().unwrap().len() <= GROUPS_MAX);
}

#[test]
fn many_moments_are_bounded_by_their_bytes() {
    let values = "title: c\nid: rc\ncorrelation: {type: value_count, rules: [a], group-by: [User], timespan: 1d, condition: {field: CommandLine, gte: 1000}}\n";
    let files = [user("a.yml", &sigma("ra", "a", "{Image: /a}")), user("c.yml", values)];
    let mut engine = engine(&files);
    let long = "x".repeat(1_000);
    for number in 0..12_000 {
        let line = format!("{number} {long}");
        let name = format!("u{}", number % 20);
        let mut event =
            event(&[("Image", "/a"), ("User", name.as_str()), ("CommandLine", line.as_str())]);
        event.at = Timestamp::from_secs(number);
        engine.evaluate(&event);
    }
    assert!(engine.losses().correlation_entries > 0);
    let kept = serde_json::to_string(&engine.state()).unwrap();
    assert!(kept.len() <= MEMORY_BYTES_MAX, "{}", kept.len());
    // What one run keeps the next one takes.
    let lost = engine.losses();
    engine.forget();
    engine.restore(serde_json::from_str(&kept).unwrap(), Timestamp::from_secs(12_000));
    assert_eq!(engine.losses(), lost);
    assert_eq!(serde_json::to_string(&engine.state()).unwrap().len(), kept.len());
}

/// Rules that would take much memory or time, each beside one that works.
#[test]
fn what_would_explode_is_refused_and_the_others_load() {
    let good = user("good.yml", &sigma("good", "good", "{Image: /a}"));
    let many: Vec<_> = (0..3_000).map(|it| format!("'v{it}'")).collect();
    let many = format!("{{CommandLine|contains: [{}]}}", many.join(", "));
    let names = vec!["s"; 2_000].join(" or ");
    for (text, want) in [
        (sigma("r", "r", "{Image|re: '(a{1000}){1000}'}"), "when compiled"),
        (sigma("r", "r", "{Image|re: '(((a{100}){100}){100}){100}'}"), "when compiled"),
        (sigma("r", "r", &format!("{{Image|re: '{}'}}", "(".repeat(200))), "regular expression"),
        (sigma("r", "r", "{Image|re: '(a)\\1'}"), "backreferences"),
        (sigma("r", "r", &format!("{}a{}", "[".repeat(40), "]".repeat(40))), ""),
        (
            sigma("r", "r", &many).replace("condition: s", &format!("condition: {names}")),
            "more than 65536 tests",
        ),
        (
            sigma("r", "r", "{Image: a}").replace(
                "condition: s",
                &format!("condition: {}s{}", "(".repeat(99), ")".repeat(99)),
            ),
            "nested",
        ),
    ] {
        let mut engine = engine(&[user("bad.yml", &text), good.clone()]);
        let refusals = engine.refusals().to_vec();
        assert_eq!(refusals.len(), 1, "{want}: {refusals:?}");
        assert!(refusals[0].file == "bad.yml" && refusals[0].line > 0, "{refusals:?}");
        assert!(refusals[0].reason.contains(want), "{want}: {refusals:?}");
        assert_eq!(engine.evaluate(&event(&[("Image", "/a")])).len(), 1);
    }
}

#[test]
fn rules_beyond_the_limit_are_told_of() {
    let rule = |number: usize| {
        format!(
            "title: t\nid: r{number}\nlogsource: {{category: process_creation}}\ndetection: {{s: {{UserId: {}}}, condition: s}}\n",
            number % 7
        )
    };
    let documents: Vec<_> = (0..crate::detect::USER_RULES_MAX + 3).map(rule).collect();
    let files: Vec<_> = documents.chunks(500).map(|it| user("a.yml", &it.join("---\n"))).collect();
    let engine = engine(&files);
    assert_eq!(engine.rules().count(), crate::detect::USER_RULES_MAX);
    assert_eq!(engine.refusals().len(), 3);
    assert!(engine.refusals()[0].reason.contains("more than 20000 rules"));
}

#[test]
fn shipped_cases_prove_shipped_rules() {
    assert_eq!(cases::prove(&Catalogue::embedded().unwrap()).unwrap().failures, []);
}

/// Short texts over a small alphabet, so that rules and events meet.
fn word() -> impl Strategy<Value = String> {
    prop::string::string_regex("[abAé/* ?\\\\-]{0,5}").unwrap()
}

fn selection() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec!["Image", "CommandLine", "Arguments", "User"]);
    let modifier = prop::sample::select(vec![
        "",
        "|contains",
        "|startswith",
        "|endswith",
        "|contains|cased",
        "|cased",
        "|neq",
        "|windash",
        "|re",
        "|re|i",
    ]);
    let item = (field, modifier, prop::collection::vec(word(), 1..3)).prop_map(
        |(field, modifier, words)| {
            format!("{field}{modifier}: {}", serde_json::to_string(&words).unwrap())
        },
    );
    let other = prop::sample::select(vec![
        "UserId: 1",
        "FirstSeen: true",
        "FirstSeen: false",
        "UserId|gt: 0",
        "Image|exists: false",
        "UserId: '1*'",
        "AncestorImages|contains: a",
    ])
    .prop_map(str::to_owned);
    let map = prop::collection::vec(prop_oneof![4 => item, 1 => other], 1..3).prop_filter_map(
        "keys are there once",
        |lines| {
            let mut keys: Vec<_> = lines.iter().filter_map(|it| it.split(':').next()).collect();
            keys.sort_unstable();
            keys.dedup();
            (keys.len() == lines.len()).then(|| format!("{{{}}}", lines.join(", ")))
        },
    );
    let keywords =
        prop::collection::vec(word(), 1..3).prop_map(|it| serde_json::to_string(&it).unwrap());
    prop_oneof![3 => map, 1 => keywords]
}

fn any_rule() -> impl Strategy<Value = String> {
    let condition = prop::sample::select(vec![
        "s0",
        "s0 and s1",
        "s0 or s1",
        "not s0",
        "s0 and not s1",
        "1 of s*",
        "all of them",
        "not (s0 or s1)",
        "s0 or not s1",
    ]);
    (selection(), selection(), condition).prop_map(|(s0, s1, condition)| {
        format!("logsource: {{category: process_creation}}\ndetection:\n  s0: {s0}\n  s1: {s1}\n  condition: {condition}\n")
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    let text = || prop::option::of(prop::string::string_regex("[abAé/* ?\\\\-]{0,8}").unwrap());
    (text(), text(), text(), prop::option::of(0..20_i64), prop::option::of(any::<bool>())).prop_map(
        |(image, command, user, number, truth)| {
            let mut event = event(&[]);
            event.set(Field::Image, image.map(Value::from));
            let list = |it: &String| it.split(' ').map(str::to_owned).collect::<Vec<_>>();
            event.set(Field::Arguments, command.as_ref().map(|it| Value::from(list(it))));
            event.set(Field::AncestorImages, user.as_ref().map(|it| Value::from(list(it))));
            event.set(Field::CommandLine, command.map(Value::from));
            event.set(Field::User, user.map(Value::from));
            event.set(Field::UserId, number.map(Value::from));
            event.set(Field::FirstSeen, truth.map(Value::from));
            event
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_index_never_loses_a_rule(
        rules in prop::collection::vec(any_rule(), 1..12),
        events in prop::collection::vec(any_event(), 1..8),
    ) {
        let files: Vec<_> = rules.iter().enumerate()
            .map(|(number, it)| user(&format!("{number}.yml"), &format!("title: t\nid: r{number}\n{it}")))
            .collect();
        let mut engine = engine(&files);
        for event in &events {
            let ids = |it: Vec<std::sync::Arc<crate::content::Rule>>| {
                it.iter().map(|it| it.id.clone()).collect::<Vec<_>>()
            };
            prop_assert_eq!(ids(engine.holding(event)), ids(engine.holding_plainly(event)));
        }
    }
}
