use expect_test::{Expect, expect};

use super::{cut, of_question};

fn check(text: &str, words: Expect, question: Expect) {
    let mut out = Vec::new();
    cut(text, &mut out);
    words.assert_eq(&out.join(" "));
    question.assert_eq(&of_question(text).join(" "));
}

#[test]
fn words_of_subjects() {
    check("203.0.113.7 -> root", expect!["203.0.113.7 root"], expect!["203.0.113.7 root"]);
    check("2001:DB8::1", expect!["2001:db8::1 2001 db8"], expect!["2001:db8::1"]);
    check("tcp:6379", expect!["tcp:6379 tcp 6379"], expect!["tcp:6379"]);
    check("/usr/bin/top", expect!["/usr/bin/top usr bin top"], expect!["/usr/bin/top"]);
    check("生产数据库-01", expect!["生产 产数 数据 据库 01"], expect!["生产 产数 数据 据库 01"]);
    check("库", expect!["库"], expect!["库"]);
    check(" ... // ", expect![""], expect![""]);
}
