//! Rows of text in columns, each as wide as its widest cell.

/// What stands in a cell without a value.
pub(super) const NONE: &str = "—";

/// Between two columns.
const GAP: &str = "  ";

/// How wide the columns of `rows` are, in characters.
pub(super) fn widths<const N: usize>(rows: &[[String; N]]) -> [usize; N] {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    widths
}

/// One row as a line. Nothing follows its last cell.
pub(super) fn line<const N: usize>(row: &[String; N], widths: &[usize; N]) -> String {
    let cells: Vec<String> =
        row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
    cells.join(GAP).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cells() {
        let rows = [["a", "bcd", "e"], ["müller", NONE, ""]].map(|row| row.map(str::to_owned));
        let widths = widths(&rows);
        let lines: Vec<_> = rows.iter().map(|row| line(row, &widths)).collect();
        assert_eq!(lines, ["a       bcd  e", "müller  —"]);
    }
}
