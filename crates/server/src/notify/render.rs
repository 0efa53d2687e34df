//! A message in words, before a channel gives it a form.

// Writing to a `String` cannot fail.
use std::fmt::Write as _;

use model::finding::{FindingKind, Severity};

use super::message::{Body, Bundle, Counts, Message, Reason};
use super::route::{Language, local_text};
use crate::store::{Cause, Notice};

/// Hosts a summary names.
const HOSTS_SHOWN: usize = 5;
/// Longest text taken from a finding.
const TEXT_CHARS_MAX: usize = 600;

/// What every channel shows, each in its own way. All texts are one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub title: String,
    pub lead: String,
    /// Name and value.
    pub facts: Vec<(String, String)>,
    /// Over `items`; empty when there are none.
    pub items_title: String,
    pub items: Vec<String>,
    /// Address and what to call it.
    pub link: Option<(String, String)>,
    /// Who sent it.
    pub footer: String,
}

impl Rendered {
    pub fn of(message: &Message) -> Self {
        let words = Words(message.language);
        let link =
            message.link().map(|it| (it, words.pick("Open in Garrison", "在 Garrison 中查看")));
        let route = one_line(&message.route);
        let footer = words
            .pick(&format!("Garrison, route \"{route}\""), &format!("Garrison，通知规则“{route}”"));
        let mut it = match &message.body {
            Body::Alert { notice } => alert(words, message, notice),
            Body::Summary { reason, bundle } => summary(words, message, *reason, bundle),
            Body::Digest { bundle } => digest(words, message, bundle),
            Body::Test => test(words, message),
        };
        it.link = link;
        it.footer = footer;
        it
    }

    /// The plain text of an e-mail or a chat.
    pub fn plain(&self) -> String {
        let mut out = format!("{}\n\n{}\n", self.title, self.lead);
        if !self.facts.is_empty() {
            out.push('\n');
        }
        for (name, value) in &self.facts {
            let _ = writeln!(out, "{name}: {value}");
        }
        if !self.items.is_empty() {
            let _ = write!(out, "\n{}\n", self.items_title);
        }
        for item in &self.items {
            let _ = writeln!(out, "- {item}");
        }
        if let Some((address, _)) = &self.link {
            let _ = write!(out, "\n{address}\n");
        }
        let _ = write!(out, "\n{}\n", self.footer);
        out
    }
}

/// Text from outside as one bounded line without control characters.
pub fn one_line(text: &str) -> String {
    let mut out = String::new();
    for (count, letter) in text.chars().enumerate() {
        if count == TEXT_CHARS_MAX {
            out.push('…');
            break;
        }
        // Marks that turn the direction of writing could make a path read as another.
        let hides = matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}' | '\u{feff}');
        if letter.is_control() || letter == '\u{2028}' || letter == '\u{2029}' {
            out.push(' ');
        } else if !hides {
            out.push(letter);
        }
    }
    out
}

#[derive(Clone, Copy)]
struct Words(Language);

impl Words {
    fn pick(self, en: &str, zh: &str) -> String {
        match self.0 {
            Language::En => en.to_owned(),
            Language::Zh => zh.to_owned(),
        }
    }

    fn severity(self, it: Severity) -> String {
        match it {
            Severity::Critical => self.pick("Critical", "致命"),
            Severity::High => self.pick("High", "高危"),
            Severity::Medium => self.pick("Medium", "中危"),
            Severity::Low => self.pick("Low", "低危"),
        }
    }

    fn kind(self, it: FindingKind) -> String {
        match it {
            FindingKind::Alarm => self.pick("Intrusions", "入侵告警"),
            FindingKind::AssetRisk => self.pick("Asset risks", "资产风险"),
            FindingKind::Vulnerability => self.pick("Vulnerabilities", "漏洞"),
            FindingKind::UnsafeSetting => self.pick("Unsafe settings", "不安全配置"),
        }
    }

    /// `2 critical, 1 low`, without what is zero.
    fn counts(self, it: Counts) -> String {
        let all = [
            (it.critical, "critical", "致命"),
            (it.high, "high", "高危"),
            (it.medium, "medium", "中危"),
            (it.low, "low", "低危"),
        ];
        let parts: Vec<_> = all
            .iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, en, zh)| self.pick(&format!("{count} {en}"), &format!("{zh} {count}")))
            .collect();
        parts.join(&self.pick(", ", "，"))
    }

    fn findings(self, count: u64) -> String {
        let s = if count == 1 { "" } else { "s" };
        self.pick(&format!("{count} finding{s}"), &format!("{count} 个事件"))
    }

    fn sentence(self, notice: &Notice) -> String {
        let text = match self.0 {
            Language::En => &notice.sentence.en,
            Language::Zh => &notice.sentence.zh,
        };
        one_line(text)
    }
}

fn alert(words: Words, message: &Message, notice: &Notice) -> Rendered {
    let severity = words.severity(notice.severity);
    let host = one_line(&notice.host_name);
    let sentence = words.sentence(notice);
    let title = words.pick(
        &format!("[{severity}] {sentence} ({host})"),
        &format!("【{severity}】{sentence}（{host}）"),
    );
    let lead = match notice.cause {
        Cause::New => words.pick("Garrison found something new.", "Garrison 发现新的事件。"),
        Cause::Raised => {
            words.pick("A known finding has become worse.", "已知事件的严重程度升高。")
        }
    };
    let named = |en: &str, zh: &str, value: String| (words.pick(en, zh), value);
    Rendered {
        title,
        lead,
        facts: vec![
            named("What", "内容", sentence),
            named("Severity", "严重程度", severity),
            named("Kind", "类型", words.kind(notice.kind)),
            named("Server", "服务器", host),
            named("Subject", "对象", one_line(&notice.subject)),
            named("Rule", "规则", one_line(&notice.rule)),
            named("Time", "时间", local_text(notice.at, &message.zone)),
        ],
        items_title: String::new(),
        items: Vec::new(),
        link: None,
        footer: String::new(),
    }
}

fn summary(words: Words, message: &Message, reason: Reason, bundle: &Bundle) -> Rendered {
    let count = words.findings(bundle.total());
    let (en, zh) = match reason {
        Reason::Storm => ("came in quick succession", "短时间内集中出现"),
        Reason::QuietHours => ("were held back during quiet hours", "在免打扰时段内暂缓发送"),
    };
    bundled(words, message, bundle, words.pick(&format!("{count} {en}"), &format!("{count}{zh}")))
}

fn digest(words: Words, message: &Message, bundle: &Bundle) -> Rendered {
    let title = if bundle.is_empty() {
        words.pick("Daily digest: nothing new", "每日汇总：无新事件")
    } else {
        let count = words.findings(bundle.total());
        words.pick(&format!("Daily digest: {count}"), &format!("每日汇总：{count}"))
    };
    bundled(words, message, bundle, title)
}

fn bundled(words: Words, message: &Message, bundle: &Bundle, what: String) -> Rendered {
    let severities = words.counts(bundle.severities());
    let title = match bundle.severities().worst() {
        None => what,
        Some(worst) => {
            let worst = words.severity(worst);
            words.pick(&format!("[{worst}] {what}"), &format!("【{worst}】{what}"))
        }
    };
    let (since, until) =
        (local_text(bundle.since, &message.zone), local_text(bundle.until, &message.zone));
    let period =
        words.pick(&format!("From {since} to {until}."), &format!("时间：{since} 至 {until}。"));
    let mut facts = Vec::new();
    for (kind, counts) in &bundle.kinds {
        let total = counts.total();
        let by = words.counts(*counts);
        facts.push((
            words.kind(*kind),
            words.pick(&format!("{total} ({by})"), &format!("{total}（{by}）")),
        ));
    }
    let hosts = bundle.worst_hosts(HOSTS_SHOWN);
    if !hosts.is_empty() {
        let named: u64 = hosts.iter().map(|(_, it)| it.total()).sum();
        let mut list: Vec<_> =
            hosts.iter().map(|(name, it)| format!("{} {}", one_line(name), it.total())).collect();
        let rest = bundle.total() - named;
        if rest > 0 {
            list.push(words.pick(&format!("others {rest}"), &format!("其他 {rest}")));
        }
        let name = words.pick("Worst servers", "最严重的服务器");
        facts.push((name, list.join(&words.pick(", ", "，"))));
    }
    let lead = if severities.is_empty() {
        words.pick(
            &format!("{period} Nothing that this route looks for was found."),
            &format!("{period}没有该规则关注的事件。"),
        )
    } else {
        words.pick(&format!("{period} {severities}."), &format!("{period}{severities}。"))
    };
    let shown = bundle.quoted.len();
    let items_title = match shown {
        0 => String::new(),
        _ => words.pick(&format!("The {shown} worst"), &format!("最严重的 {shown} 个")),
    };
    let item = |it: &Notice| {
        let severity = words.severity(it.severity);
        let (host, sentence) = (one_line(&it.host_name), words.sentence(it));
        words.pick(
            &format!("[{severity}] {host}: {sentence}"),
            &format!("【{severity}】{host}：{sentence}"),
        )
    };
    Rendered {
        title,
        lead,
        facts,
        items_title,
        items: bundle.quoted.iter().map(item).collect(),
        link: None,
        footer: String::new(),
    }
}

fn test(words: Words, message: &Message) -> Rendered {
    let at = local_text(message.at, &message.zone);
    Rendered {
        title: words.pick("Test message from Garrison", "Garrison 测试消息"),
        lead: words.pick(
            "If you can read this, the channel works.",
            "如果您能看到这条消息，说明通知渠道可用。",
        ),
        facts: vec![(words.pick("Time", "时间"), at)],
        items_title: String::new(),
        items: Vec::new(),
        link: None,
        footer: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_one_harmless_line() {
        for (text, line) in [
            ("a\r\nBcc: x", "a  Bcc: x"),
            ("/tmp/\u{202e}gpj.exe", "/tmp/gpj.exe"),
            ("a\0b\u{1b}[31m", "a b [31m"),
            ("上传", "上传"),
        ] {
            assert_eq!(one_line(text), line);
        }
        assert_eq!(one_line(&"x".repeat(10_000)).chars().count(), TEXT_CHARS_MAX + 1);
    }
}
