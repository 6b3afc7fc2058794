//! What a monitor reads: counts and durations, and what is known of the accounts, as text.
//!
//! In:    the meters of `relay` and `oauth`, and the survey. Out: the text format of Prometheus, or
//!        OpenMetrics for those who ask for it.
//! Names: account names stand in what tells when something of an account ends, and nowhere else;
//!        accounts are those of the file, a wildcard by its pattern.

mod format;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

pub(super) use self::format::Format;
use super::survey::{Ends, Found, Survey};
use crate::oauth::Tokens;
use crate::relay::meter::Meter;

/// How all names begin.
const PREFIX: &str = "mailbearer";

/// All that is measured. Cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct Metrics(Arc<Registry>);

impl Metrics {
    /// What is counted by both, and what `survey` finds.
    pub(super) fn new(meter: &Meter, tokens: &Tokens, survey: Survey) -> Self {
        let mut root = Registry::default();
        let registry = root.sub_registry_with_prefix(PREFIX);
        meter.register(registry);
        tokens.register(registry);
        registry.register_collector(Box::new(Accounts(survey)));
        Self(Arc::new(root))
    }

    /// The text of all of it.
    ///
    /// # Errors
    /// When something cannot be written, which does not happen in memory.
    pub(super) fn text(&self, format: Format) -> Result<String, fmt::Error> {
        let mut written = String::new();
        text::encode(&mut written, &self.0)?;
        Ok(format.of_openmetrics(written))
    }
}

/// Which end of an account.
type End = fn(&Ends) -> Option<Duration>;

/// What the survey found last.
#[derive(Debug)]
struct Accounts(Survey);

impl Collector for Accounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "The version that runs";
        let mut info = encoder.encode_descriptor("build_info", help, None, MetricType::Gauge)?;
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        ConstGauge::new(1_i64).encode(info.encode_family(&version)?)?;

        let help = "Whether a refresh token or a local password is in memory alone, 1 if so";
        let unsaved = encoder.encode_descriptor("store_unsaved", help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::from(self.0.is_unsaved())).encode(unsaved)?;

        let Some(found) = self.0.latest() else { return Ok(()) };
        let help = "Accounts of the file, by what a sign-in would find";
        let mut accounts = encoder.encode_descriptor("accounts", help, None, MetricType::Gauge)?;
        for (state, number) in found.numbers.each() {
            let number = ConstGauge::new(i64::try_from(number).unwrap_or(i64::MAX));
            number.encode(accounts.encode_family(&[("state", state)])?)?;
        }
        self.encode_ends(&mut encoder, &found)
    }
}

impl Accounts {
    /// When something of an account ends, in seconds since 1970. Of what is not known there is no
    /// series: 0 would be an end.
    fn encode_ends(&self, encoder: &mut DescriptorEncoder<'_>, found: &Found) -> fmt::Result {
        let ends: [(&str, &str, End); 3] = [
            ("token_expires_at", "When the access token in memory ends", |it| it.token),
            ("grant_dies_at", "When the consent ends, by what is known", |it| it.grant),
            ("credential_expires_at", "When the client's secret or certificate ends", |it| {
                it.credential
            }),
        ];
        for (name, help, end) in ends {
            let mut metric =
                encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
            for (account, ends) in &found.ends {
                let Some(at) = end(ends) else { continue };
                let at = ConstGauge::new(i64::try_from(at.as_secs()).unwrap_or(i64::MAX));
                at.encode(metric.encode_family(&[("account", account.as_str())])?)?;
            }
        }
        Ok(())
    }
}
