//! Two transcripts side by side: what the old client said, and what the provider heard.
//!
//! In:  lines that begin with `C: `, `S: ` or blanks. Out: rows of less than 80 characters.
//!
//! Rows are laid so that what mailbearer passed on stands beside itself. What is left out are the
//! extensions in answers to EHLO, which tell nothing of the sign-in.

/// Characters in each of the two columns; with what is between them a row fits a terminal of 80.
const COLUMN_LEN: usize = 38;

/// What a row shows, by the sign between its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    /// Each side by itself.
    Apart,
    /// The sign-in: what mailbearer takes, and what it makes of it.
    SignIn,
    /// The same bytes on both sides.
    Same,
}

impl Row {
    fn sign(self) -> &'static str {
        match self {
            Self::Apart => " | ",
            Self::SignIn => " > ",
            Self::Same => " = ",
        }
    }
}

/// The client's transcript beside the provider's.
pub(super) fn side_by_side(client: &[String], provider: &[String]) -> String {
    let (client, provider) = (without_extensions(client), without_extensions(provider));
    let same = client.iter().rev().zip(provider.iter().rev()).take_while(|(c, p)| c == p).count();
    let left = Parts::of(&client, same);
    let right = Parts::of(&provider, same);

    let rule = "-".repeat(COLUMN_LEN);
    let mut text = row("THE OLD CLIENT SAID", Row::Apart, "THE PROVIDER HEARD");
    text += &row(&rule, Row::Apart, &rule);
    for (kind, left, right) in [
        (Row::Apart, left.before, right.before),
        (Row::SignIn, left.sign_in, right.sign_in),
        (Row::Same, left.after, right.after),
    ] {
        for nth in 0..left.len().max(right.len()) {
            let line = |lines: &[&str]| lines.get(nth).copied().unwrap_or_default().to_owned();
            text += &row(&line(left), kind, &line(right));
        }
    }
    text
}

/// A transcript in three parts.
struct Parts<'a> {
    before: &'a [&'a str],
    sign_in: &'a [&'a str],
    /// What the other side's transcript ends with, too.
    after: &'a [&'a str],
}

impl<'a> Parts<'a> {
    fn of(lines: &'a [&'a str], same: usize) -> Self {
        let (own, after) = lines.split_at(lines.len().saturating_sub(same));
        let begins = own.iter().position(|line| is_sign_in(line)).unwrap_or(own.len());
        let (before, sign_in) = own.split_at(begins);
        Self { before, sign_in, after }
    }
}

/// Whether the line begins a sign-in: AUTH, AUTHENTICATE or LOGIN.
fn is_sign_in(line: &str) -> bool {
    let words = line.strip_prefix("C: ").unwrap_or_default().split(' ').take(2);
    words.into_iter().any(|word| ["AUTH", "AUTHENTICATE", "LOGIN"].contains(&word))
}

/// Leaves out what answers to EHLO show besides the ways to sign in.
fn without_extensions(lines: &[String]) -> Vec<&str> {
    let mut in_ehlo = false;
    let shown = lines.iter().map(String::as_str).filter(|line| {
        if line.starts_with("C: ") {
            in_ehlo = line.starts_with("C: EHLO ");
        }
        !in_ehlo
            || line.starts_with("C: ")
            || ["AUTH ", "STARTTLS"].iter().any(|it| line.contains(it))
    });
    shown.collect()
}

fn row(left: &str, kind: Row, right: &str) -> String {
    let row = format!("{:<COLUMN_LEN$}{}{}", cut(left), kind.sign(), cut(right));
    format!("{}\n", row.trim_end())
}

fn cut(line: &str) -> String {
    if line.chars().count() <= COLUMN_LEN {
        return line.to_owned();
    }
    line.chars().take(COLUMN_LEN - 3).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(|line| line.trim_start_matches('/').to_owned()).collect()
    }

    #[test]
    fn sign_ins_stand_side_by_side_and_extensions_are_left_out() {
        let client = lines(
            "S: 220 ready\nC: EHLO me\nS: 250-SIZE 1\nS: 250 AUTH PLAIN LOGIN\nC: AUTH PLAIN AGE=\n\
             S: 235 yes\nC: QUIT\nS: 221 bye",
        );
        let provider = lines(
            "S: 220 hello\nC: EHLO [127.0.0.1]\nS: 250-STARTTLS\nS: 250 SIZE 1\nC: STARTTLS\n\
             S: 220 go\n/   (TLS started)\nC: EHLO [127.0.0.1]\nS: 250-AUTH XOAUTH2\nS: 250 DSN\n\
             C: AUTH XOAUTH2\nS: 334 \nC: <token, 9 bytes>\nS: 235 yes\nC: QUIT\nS: 221 bye",
        );
        let shown = side_by_side(&client, &provider);
        let rows: Vec<(String, String)> = shown
            .lines()
            .skip(2)
            .map(|row| {
                let (left, right) = row.split_at(COLUMN_LEN);
                (left.trim().to_owned(), right.trim().to_owned())
            })
            .collect();
        let rows: Vec<(&str, &str)> = rows.iter().map(|(l, r)| (l.as_str(), r.as_str())).collect();
        assert_eq!(
            rows,
            [
                ("S: 220 ready", "| S: 220 hello"),
                ("C: EHLO me", "| C: EHLO [127.0.0.1]"),
                ("S: 250 AUTH PLAIN LOGIN", "| S: 250-STARTTLS"),
                ("", "| C: STARTTLS"),
                ("", "| S: 220 go"),
                ("", "|    (TLS started)"),
                ("", "| C: EHLO [127.0.0.1]"),
                ("", "| S: 250-AUTH XOAUTH2"),
                ("C: AUTH PLAIN AGE=", "> C: AUTH XOAUTH2"),
                ("", "> S: 334"),
                ("", "> C: <token, 9 bytes>"),
                ("S: 235 yes", "= S: 235 yes"),
                ("C: QUIT", "= C: QUIT"),
                ("S: 221 bye", "= S: 221 bye"),
            ]
        );
    }

    #[test]
    fn rows_fit_a_terminal_of_80_whatever_was_said() {
        let long = [format!("C: {}", "é".repeat(200))];
        let shown = side_by_side(&long, &[]);
        assert!(shown.lines().all(|row| row.chars().count() < 80), "{shown}");
        assert_eq!(cut(&"é".repeat(COLUMN_LEN)), "é".repeat(COLUMN_LEN));
        let cut = cut(&"é".repeat(COLUMN_LEN + 1));
        assert_eq!((cut.chars().count(), cut.ends_with("...")), (COLUMN_LEN, true));
    }

    #[test]
    fn transcripts_without_a_sign_in_are_shown_apart() {
        let shown = side_by_side(&lines("S: 220 ready"), &lines("S: 421 busy"));
        let last = shown.lines().last().map(|row| row.split_whitespace().collect::<Vec<_>>());
        assert_eq!(last.unwrap(), ["S:", "220", "ready", "|", "S:", "421", "busy"]);
    }
}
