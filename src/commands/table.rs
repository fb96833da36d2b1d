//! Tables for people: a heading, and columns as wide as the widest of their cells.

use std::io::{self, Write};

use anstyle::Style;

const HEADING: Style = Style::new().dimmed();

/// Writes one, each line after `indent`.
pub(super) fn write<const N: usize>(
    indent: &str,
    heading: [&str; N],
    rows: &[[String; N]],
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut widths = heading.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut line = |cells: &[String; N], style: Style| {
        let padded: Vec<_> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{indent}{style}{}{style:#}", padded.join("  ").trim_end())
    };
    line(&heading.map(str::to_owned), HEADING)?;
    rows.iter().try_for_each(|row| line(row, Style::new()))
}
