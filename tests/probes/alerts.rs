//! The alert rules and docs/monitoring.md name what there is.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::scene::{get, with};
use crate::support::RigSettings;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Every metric that `text` names, and the rest of it behind each.
fn named(text: &str) -> impl Iterator<Item = (String, &str)> {
    let is_of_name = |it: char| it.is_ascii_lowercase() || it == '_';
    text.split("mailbearer_").skip(1).map(move |behind| {
        let end = behind.find(|it| !is_of_name(it)).unwrap_or(behind.len());
        (format!("mailbearer_{}", &behind[..end]), &behind[end..])
    })
}

/// A relay of which everything is known that can be told.
async fn metrics() -> String {
    let provider = "client_secret_expires = \"2030-01-01\"";
    let rig = with(RigSettings { provider, ..RigSettings::default() }, "").await;
    let _client = rig.signed_in().await;
    get(&rig, "/metrics").await.body
}

/// The names in the headers of `metrics`.
fn there(metrics: &str) -> BTreeSet<String> {
    let headers = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    headers.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_metric_and_label_of_the_rules_is_there() {
    let metrics = metrics().await;
    let (there, rules) = (there(&metrics), read("deploy/alerts.yml"));
    let mut matched = 0;
    for (name, behind) in named(&rules) {
        assert!(there.contains(&name), "{name}");
        let Some((matchers, _)) = behind.strip_prefix('{').and_then(|it| it.split_once('}')) else {
            continue;
        };
        let (label, values) = matchers.split_once(['=', '!']).unwrap();
        for value in values.trim_matches(['=', '~', '"']).split('|') {
            let series = format!("{label}=\"{value}\"");
            let is_there = |line: &str| line.starts_with(&name) && line.contains(&series);
            assert!(metrics.lines().any(is_there), "{name} has no {series}");
            matched += 1;
        }
    }
    assert!(matched > 5, "{matched}");
}

#[tokio::test]
async fn every_metric_and_every_alert_is_documented_and_no_other() {
    let page = read("docs/monitoring.md");
    let rows: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `mailbearer_"))
        .map(|row| format!("mailbearer_{}", row.split('`').next().unwrap()))
        .collect();
    assert_eq!(rows, there(&metrics().await));

    let rules = read("deploy/alerts.yml");
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.split_once("- alert: ")).collect();
    let alerts: Vec<_> = alerts.into_iter().map(|(_, name)| name).collect();
    let told = page.lines().filter_map(|line| line.strip_prefix("| `Mailbearer"));
    let told: Vec<_> =
        told.map(|row| format!("Mailbearer{}", row.split('`').next().unwrap())).collect();
    assert_eq!(alerts, told, "in the order of the rules");
}
