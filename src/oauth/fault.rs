//! Why an endpoint gave no answer that could be read, and whether it may have acted all the same.
//!
//! Of what an endpoint sends, only status, content type and OAuth error words reach a reason.

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use oauth2::http::{StatusCode, header};
use reqwest::Response;

use super::answer::ProviderError;
use super::outward::CONNECT_TIMEOUT;
use crate::proto::printable;

/// What an answer says it is.
pub(super) enum ContentType {
    /// `application/json`, with any parameters.
    Json,
    /// Nothing; whether it is JSON is seen when it is read.
    Untold,
    /// Something else, printable.
    Other(String),
}

impl ContentType {
    pub(super) fn of(response: &Response) -> Self {
        let Some(value) = response.headers().get(header::CONTENT_TYPE) else {
            return Self::Untold;
        };
        let essence = value.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
        if essence.trim_ascii().eq_ignore_ascii_case(b"application/json") {
            Self::Json
        } else {
            Self::Other(printable(value.as_bytes(), CONTENT_TYPE_LEN_MAX))
        }
    }
}

/// Why an endpoint gave no answer, or which error it answered with.
#[derive(Debug, thiserror::Error)]
pub(super) enum EndpointError {
    /// No answer that could be read, or an outage that was told; all of it may pass by itself.
    #[error("{}", .0.reason)]
    Unavailable(Box<Unavailable>),
    /// An OAuth error, which the table has to judge.
    #[error("{said}")]
    Refused {
        /// What the endpoint said.
        said: Box<ProviderError>,
        /// How long the endpoint wants to be left alone, if it told.
        retry_after: Option<Duration>,
    },
}

/// Why an endpoint gave no answer.
#[derive(Debug)]
pub(super) struct Unavailable {
    /// What happened, in a clause.
    pub(super) reason: String,
    /// What to do if it does not pass, in a clause.
    pub(super) fix: Cow<'static, str>,
    /// What the endpoint said, if it spoke OAuth.
    pub(super) said: Option<Box<ProviderError>>,
    /// How long the endpoint wants to be left alone, if it told.
    pub(super) retry_after: Option<Duration>,
    /// As [`super::error::TokenError::is_answer_lost`].
    pub(super) is_answer_lost: bool,
}

impl From<Unavailable> for EndpointError {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(Box::new(unavailable))
    }
}

impl Unavailable {
    pub(super) fn new(reason: String) -> Self {
        let fix = "try again later".into();
        Self { reason, fix, said: None, retry_after: None, is_answer_lost: false }
    }

    pub(super) fn mended_by(self, fix: impl Into<Cow<'static, str>>) -> Self {
        Self { fix: fix.into(), ..self }
    }

    pub(super) fn lost(self) -> Self {
        Self { is_answer_lost: true, ..self }
    }

    /// An answer that is not OAuth.
    pub(super) fn unfit(
        status: StatusCode,
        content_type: &ContentType,
        retry_after: Option<Duration>,
    ) -> Self {
        let status = status.as_u16();
        let reason = match content_type {
            ContentType::Json => {
                format!("it answers HTTP {status} with JSON that is no OAuth answer")
            }
            ContentType::Untold => {
                format!("it answers HTTP {status} without an OAuth answer and no content type")
            }
            ContentType::Other(name) => {
                format!("it answers HTTP {status} with {name:?} where JSON is due")
            }
        };
        Self { retry_after, ..Self::new(reason) }
    }

    /// A request to the endpoint of the key `name` that went wrong on its way, which is by `proxy` if
    /// there is one.
    pub(super) fn of(error: &reqwest::Error, name: &str, proxy: Option<&str>) -> Self {
        let cause = cause(error);
        let by = proxy.map_or_else(String::new, |proxy| format!(" through the proxy {proxy}"));
        let fix = if proxy.is_some() { CHECK_PROXY } else { CHECK_NETWORK };
        if is_about_certificate(error) {
            Self::new(format!("no TLS ({cause})")).mended_by(format!(
                "check the name in `{name}`, the endpoint's certificate and `ca_file`"
            ))
        } else if error.is_connect() && error.is_timeout() {
            Self::new(format!("no connection{by} within {CONNECT_TIMEOUT:?}")).mended_by(fix)
        } else if error.is_connect() {
            Self::new(format!("no connection{by} ({cause})")).mended_by(fix)
        } else {
            Self::broke(error).lost()
        }
    }

    /// An exchange that ended in its midst.
    pub(super) fn broke(error: &reqwest::Error) -> Self {
        Self::new(format!("the connection broke ({})", cause(error)))
    }
}

/// The innermost cause of `error`, printable; the outer ones repeat the URL.
pub(super) fn cause(error: &(dyn Error + 'static)) -> String {
    printable(innermost(error).to_string().as_bytes(), CAUSE_LEN_MAX)
}

/// Whether a certificate of the endpoint was not accepted.
fn is_about_certificate(error: &(dyn Error + 'static)) -> bool {
    let tls = innermost(error).downcast_ref();
    matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
}

fn innermost<'e>(error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    // An `io::Error` hides the error that it wraps: its source is that error's source.
    let wrapped = error.downcast_ref().and_then(std::io::Error::get_ref);
    match wrapped.map_or(error.source(), |wrapped| Some(wrapped)) {
        Some(source) => innermost(source),
        None => error,
    }
}

/// Longest content type shown in a reason, in bytes.
const CONTENT_TYPE_LEN_MAX: usize = 80;

/// Longest cause of a failed connection shown in a reason, in bytes.
const CAUSE_LEN_MAX: usize = 300;

/// What to do when an endpoint is out of reach.
pub(super) const CHECK_NETWORK: &str = "check DNS, firewall and proxy variables";

/// What to do when an endpoint is out of reach through a proxy.
const CHECK_PROXY: &str = "check `egress.http_proxy` or the proxy variables, and that the proxy lets \
                           this machine in, allows the endpoint and reaches it";
