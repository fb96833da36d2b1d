//! What was found, for people: a table of everything, and below it what to do.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::finding::{Finding, Verdict};
use crate::commands::table;
use crate::printable::printable;

const COLUMNS: [&str; 4] = ["check", "of", "verdict", "found"];
const FAILED: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Writes it. Others have a say in much of the text: it is made fit for a terminal.
pub(super) fn write(findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    let of = |finding: &Finding| if finding.of.is_empty() { "-".into() } else { printable(&finding.of).into_owned() };
    let cells = |finding: &Finding| {
        let found = printable(&finding.found).into_owned();
        [finding.check.to_owned(), of(finding), finding.verdict.word().to_owned(), found]
    };
    table::write("", COLUMNS, &findings.iter().map(cells).collect::<Vec<_>>(), out)?;
    writeln!(out)?;
    for (verdict, style) in [(Verdict::Failed, FAILED), (Verdict::Warning, WARNING)] {
        for finding in findings.iter().filter(|finding| finding.verdict == verdict) {
            let (check, word, of) = (finding.check, verdict.word(), of(finding));
            let remedy = printable(finding.remedy.as_deref().unwrap_or(&finding.found)).into_owned();
            writeln!(out, "{style}{word}{style:#}: {check} {of}: {remedy}")?;
        }
    }
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    match (count(Verdict::Failed), count(Verdict::Warning), findings.len()) {
        (0, 0, all) => writeln!(out, "All is well: {all} checks."),
        (failed, warnings, all) => writeln!(out, "Of {all} checks, {failed} failed and {warnings} warned."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_aligned_and_remedies_stand_below_the_worst_first() {
        let findings = [
            Finding::warning("certificate", "site.pem", "ends in 3 days", "renew it"),
            Finding::ok("session.store", "", "in memory"),
            Finding::failed("issuer.name", "main", "says \u{1b}[31mit", "correct issuer"),
        ];
        let mut out = Vec::new();
        write(&findings, &mut out).unwrap();
        let text = anstream::adapter::strip_str(std::str::from_utf8(&out).unwrap()).to_string();
        let expected = "\
check          of        verdict  found
certificate    site.pem  warning  ends in 3 days
session.store  -         ok       in memory
issuer.name    main      failed   says \\u{1b}[31mit

failed: issuer.name main: correct issuer
warning: certificate site.pem: renew it
Of 3 checks, 1 failed and 1 warned.
";
        assert_eq!(text, expected);
    }
}
