//! The report as one self-contained page: no script, nothing fetched.

use std::fmt::Write as _;

use model::finding::Severity;

use super::{Language, Report, ReportFinding, evidence_lines, severity_word};

/// Rows of one asset table shown on the page; the JSON form has all.
const ROWS_SHOWN_MAX: usize = 500;

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1f2430;--dim:#667085;--line:#e3e6ec;--page:#fff;--box:#f7f8fa}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8ee;--dim:#98a1b3;--line:#2c3340;--page:#12151c;--box:#1a1f29}}
body{font:14px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:1100px;margin:32px auto;padding:0 24px}
h1{font-size:22px;margin:0}h2{font-size:16px;margin:32px 0 8px}p{margin:4px 0}.dim{color:var(--dim)}
.counts{display:flex;gap:8px;margin:16px 0}.counts b{padding:6px 14px;border-radius:6px;border:1px solid var(--line)}
article{border:1px solid var(--line);border-left-width:4px;border-radius:6px;padding:12px 16px;margin:8px 0}
.critical{border-left-color:#a8071a}.high{border-left-color:#d4570a}.medium{border-left-color:#b7860b}.low{border-left-color:#5b7083}
pre{background:var(--box);padding:8px 12px;border-radius:6px;overflow-x:auto;margin:8px 0;font-size:12px}
table{border-collapse:collapse;font-size:12px;width:100%;display:block;overflow-x:auto}td,th{text-align:left;padding:3px 10px 3px 0;border-bottom:1px solid var(--line);white-space:nowrap}
summary{cursor:pointer;padding:4px 0}";

pub(crate) fn render(report: &Report, language: Language) -> String {
    let word = |en, zh| language.word(en, zh);
    let mut out = String::new();
    let lang = word("en", "zh-CN");
    let title = format!("{} {}", word("Scan of", "主机扫描"), report.host.name);
    let _ = write!(
        out,
        "<!doctype html><html lang=\"{lang}\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{0}</title><style>{STYLE}</style>\
         <h1>{0}</h1><p class=\"dim\">{1} · {2} · Garrison {3} · {4}</p><div class=\"counts\">",
        escape(&title),
        escape(&report.host.os),
        escape(&report.host.arch),
        report.garrison_version,
        report.generated_at,
    );
    for severity in Severity::ALL.iter().rev() {
        let _ = write!(
            out,
            "<b>{} {}</b>",
            report.count(*severity),
            severity_word(*severity, language)
        );
    }
    let _ = write!(out, "</div><h2>{}</h2>", word("Findings", "风险"));
    if report.findings.is_empty() {
        let _ = write!(
            out,
            "<p>{}</p>",
            word("Nothing found in what was checked.", "在已检查的范围内没有发现风险。")
        );
    }
    for finding in &report.findings {
        article(&mut out, finding, language);
    }
    unread(&mut out, report, language);
    let _ = write!(out, "<h2>{}</h2>", word("Assets", "资产"));
    for item in &report.items {
        let kind = item.id.strip_prefix("asset.").unwrap_or(&item.id);
        if let Some(rows) = report.assets.get(kind) {
            table(&mut out, language.pick(&item.title), rows);
        }
    }
    out.push_str("</html>\n");
    out
}

fn article(out: &mut String, finding: &ReportFinding, language: Language) {
    let lines: Vec<String> = finding.evidence.iter().flat_map(evidence_lines).collect();
    let _ = write!(
        out,
        "<article class=\"{}\"><p><b>{}</b> <span class=\"dim\">· {}</span></p><p>{}</p><p>{}</p><pre>{}</pre>\
         <p class=\"dim\">{} · {}</p></article>",
        finding.severity,
        escape(language.pick(&finding.sentence)),
        severity_word(finding.severity, language),
        escape(language.pick(&finding.why)),
        escape(language.pick(&finding.advice)),
        escape(&lines.join("\n")),
        escape(&finding.rule),
        finding.id,
    );
}

fn unread(out: &mut String, report: &Report, language: Language) {
    if report.skipped() == 0 {
        return;
    }
    let _ = write!(out, "<h2>{}</h2><ul>", language.word("Could not be read", "未能读取"));
    for (item, text) in
        report.items.iter().flat_map(|it| it.skipped.iter().map(move |text| (&it.id, text)))
    {
        let _ =
            write!(out, "<li><span class=\"dim\">{}</span> {}</li>", escape(item), escape(text));
    }
    out.push_str("</ul>");
}

fn table(out: &mut String, title: &str, rows: &[model::asset::Row]) {
    let mut names: Vec<&str> = Vec::new();
    for name in rows.iter().take(ROWS_SHOWN_MAX).flat_map(|it| it.keys()) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let _ =
        write!(out, "<details><summary>{} ({})</summary><table><tr>", escape(title), rows.len());
    for name in &names {
        let _ = write!(out, "<th>{}</th>", escape(name));
    }
    out.push_str("</tr>");
    for row in rows.iter().take(ROWS_SHOWN_MAX) {
        out.push_str("<tr>");
        for name in &names {
            let text = match row.get(*name) {
                None | Some(serde_json::Value::Null) => String::new(),
                Some(serde_json::Value::String(it)) => it.clone(),
                Some(other) => other.to_string(),
            };
            let _ = write!(out, "<td>{}</td>", escape(&text));
        }
        out.push_str("</tr>");
    }
    out.push_str("</table>");
    if rows.len() > ROWS_SHOWN_MAX {
        let _ = write!(out, "<p class=\"dim\">+{}</p>", rows.len() - ROWS_SHOWN_MAX);
    }
    out.push_str("</details>");
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            it if it.is_control() && it != '\n' => out.push('\u{fffd}'),
            it => out.push(it),
        }
    }
    out
}
