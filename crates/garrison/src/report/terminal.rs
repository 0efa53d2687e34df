//! The report as a person reads it in a terminal.

use std::fmt::Write as _;

use model::finding::Severity;

use super::{ItemState, Language, Report, ReportFinding, evidence_lines, severity_word};
use crate::terminal::{fold, width_of};

/// Evidence lines shown for one finding; the rest is counted.
const EVIDENCE_SHOWN_MAX: usize = 4;
/// Characters shown of one line of evidence.
const EVIDENCE_CHARS_MAX: usize = 320;
/// Skipped sentences shown; the rest is counted.
const SKIPPED_SHOWN_MAX: usize = 8;
const LABEL_WIDTH: usize = 12;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub colour: bool,
    /// Columns of the terminal; lines are folded at words.
    pub width: usize,
    pub language: Language,
}

const BOLD: &str = "1";
const DIM: &str = "2";

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

const fn colour_of(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "1;97;41",
        Severity::High => "1;31",
        Severity::Medium => "33",
        Severity::Low => "34",
    }
}

pub(crate) fn render(report: &Report, style: Style) -> String {
    let mut out = String::new();
    head(&mut out, report, style);
    for finding in &report.findings {
        one(&mut out, finding, style);
    }
    foot(&mut out, report, style);
    out
}

fn head(out: &mut String, report: &Report, style: Style) {
    let word = |en, zh| style.language.word(en, zh);
    let host = &report.host;
    let kernel = host
        .kernel
        .as_ref()
        .map_or_else(String::new, |it| format!(" · {} {it}", word("kernel", "内核")));
    let root = if report.root == "/" {
        String::new()
    } else {
        format!(" · {} {}", word("root", "根目录"), report.root)
    };
    let title = style.paint(BOLD, &format!("{} {}", word("Scan of", "主机扫描"), host.name));
    let _ = writeln!(out, "{title}  {} · {}{kernel}{root}", host.os, host.arch);
    let seconds = report.took_ms as f64 / 1000.0;
    let line =
        format!("Garrison {} · {} · {seconds:.2} s", report.garrison_version, report.generated_at);
    let _ = writeln!(out, "{}\n", style.paint(DIM, &line));
    let counts: Vec<String> = Severity::ALL
        .iter()
        .rev()
        .map(|severity| {
            let text = format!(
                " {} {} ",
                report.count(*severity),
                severity_word(*severity, style.language)
            );
            if report.count(*severity) > 0 {
                style.paint(colour_of(*severity), &text)
            } else {
                style.paint(DIM, &text)
            }
        })
        .collect();
    let _ = writeln!(out, "{}\n", counts.join(" "));
}

fn one(out: &mut String, finding: &ReportFinding, style: Style) {
    let word = |en, zh| style.language.word(en, zh);
    let badge = severity_word(finding.severity, style.language).to_uppercase();
    let pad = " ".repeat(LABEL_WIDTH.saturating_sub(width_of(&badge)));
    let sentence = fold(style.language.pick(&finding.sentence), style.width, LABEL_WIDTH);
    let _ = writeln!(
        out,
        "{}{pad}{}",
        style.paint(colour_of(finding.severity), &badge),
        style.paint(BOLD, &sentence)
    );
    label(out, word("why", "原因"), style.language.pick(&finding.why), style);
    label(out, word("do", "建议"), style.language.pick(&finding.advice), style);
    let lines: Vec<String> = finding.evidence.iter().flat_map(evidence_lines).collect();
    for (index, line) in lines.iter().take(EVIDENCE_SHOWN_MAX).enumerate() {
        label(out, if index == 0 { word("proof", "证据") } else { "" }, &cut(line), style);
    }
    if lines.len() > EVIDENCE_SHOWN_MAX {
        label(out, "", &format!("+{}", lines.len() - EVIDENCE_SHOWN_MAX), style);
    }
    label(out, "id", &format!("{} · {}", finding.rule, finding.id), style);
    out.push('\n');
}

/// A command line can fill screens; the other forms have it whole.
fn cut(line: &str) -> String {
    match line.char_indices().nth(EVIDENCE_CHARS_MAX) {
        Some((end, _)) => format!("{} …", line.get(..end).unwrap_or(line)),
        None => line.to_owned(),
    }
}

fn label(out: &mut String, name: &str, text: &str, style: Style) {
    if text.is_empty() {
        return;
    }
    let pad = " ".repeat(LABEL_WIDTH.saturating_sub(width_of(name) + 2));
    let _ =
        writeln!(out, "  {}{pad}{}", style.paint(DIM, name), fold(text, style.width, LABEL_WIDTH));
}

fn foot(out: &mut String, report: &Report, style: Style) {
    let word = |en, zh| style.language.word(en, zh);
    if report.findings.is_empty() {
        let clean = word("Nothing found in what was checked.", "在已检查的范围内没有发现风险。");
        let _ = writeln!(out, "{}\n", style.paint("32", clean));
    }
    let assets: Vec<String> = report
        .items
        .iter()
        .map(|it| format!("{} {}", style.language.pick(&it.title), it.rows))
        .collect();
    label(out, word("checked", "已检查"), &assets.join(" · "), style);
    let partial: Vec<&str> = report
        .items
        .iter()
        .filter(|it| it.state == ItemState::Partial)
        .flat_map(|it| it.skipped.iter().map(String::as_str))
        .collect();
    for (index, line) in partial.iter().take(SKIPPED_SHOWN_MAX).enumerate() {
        label(out, if index == 0 { word("not read", "未读取") } else { "" }, line, style);
    }
    if partial.len() > SKIPPED_SHOWN_MAX {
        label(out, "", &format!("+{}", partial.len() - SKIPPED_SHOWN_MAX), style);
    }
}
