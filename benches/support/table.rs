//! The table of a run, in Markdown.

use std::time::Duration;

use super::figure::{Figure, Figures, Goal, Spread};
use super::peer::Peer;

/// A row for each figure that one of `peers` has.
pub fn table(figures: &Figures, peers: &[Peer]) -> String {
    let names: Vec<&str> = peers.iter().map(|peer| peer.name()).collect();
    let mut text = format!("| what | goal | {} | met |\n", names.join(" | "));
    text.push_str(&format!("|---|---|{}---|\n", "---|".repeat(peers.len())));
    for figure in Figure::ALL {
        let cells = peers.iter().map(|peer| figures.spread(figure, *peer));
        let cells: Vec<Option<Spread>> = cells.collect();
        if cells.iter().all(Option::is_none) {
            continue;
        }
        let cells: Vec<String> =
            cells.into_iter().map(|cell| cell.map_or("–".to_owned(), spread)).collect();
        let goal = figure.goal().map_or("–".to_owned(), Goal::text);
        let verdict = figures.verdict(figure).map_or("–".to_owned(), |(is_met, compared)| {
            format!("{}: {}", if is_met { "yes" } else { "no" }, spread(compared))
        });
        text.push_str(&format!(
            "| {} | {goal} | {} | {verdict} |\n",
            figure.name(),
            cells.join(" | ")
        ));
    }
    text
}

/// The median, and the least and the greatest of the rounds.
fn spread(spread: Spread) -> String {
    let Spread { median, least, most } = spread;
    format!("{} ({}–{})", number(median), number(least), number(most))
}

/// Three digits that mean something.
pub fn number(value: f64) -> String {
    let decimals = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

/// What the table does not say by itself.
pub const NOTES: &str = "\
Each cell is the median of the rounds, with the least and the greatest; under \"met\" is what the goal
compares: the figure, or the median of the rounds' ratios. A dash is a row that a peer has no part in:

- A client of direct, ideal, haproxy and stunnel signs in by XOAUTH2 itself, for nothing rewrites it
  there; direct has no process in between, and tunnels have no STARTTLS.
- emailproxy has a hundredth of the sign-ins and messages, 40 idle sessions and an eighth of the
  stream, for one of its sign-ins costs a third of a second; and 4 clients at a time, for it listens
  with a backlog of 5. It stops at 509 sessions.
- Of idle sessions in thousands, stunnel, Dovecot and emailproxy are not asked.
- Dovecot and mailbearer dial when the client has signed in, the others before. The row of the SYN is
  without connections kept ready, as are the cold ones; only mailbearer has warm ones.
- At rest, ideal shares its pages with the load and the upstream, which are the same program.
- A message over 40 ms is measured from the connect to the reply that takes it.
";

/// Prints the table and how long it took; a failure is told, and ends the program with 1.
pub fn print(figures: &Figures, peers: &[Peer], failures: &[String], took: Duration) {
    println!("{}", table(figures, peers));
    eprintln!("measured in {} s", took.as_secs());
    for failure in failures {
        eprintln!("{failure}");
    }
    if !failures.is_empty() {
        std::process::exit(1);
    }
}
