//! A program that prints an access token.
//!
//! In:     the program, run without a shell. Out: its one line of output, an access token.
//! Limits: those of every program that prints a secret, and the deadline of the request. Nothing
//!         that it prints reaches a log or an error.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use super::given::{Answer, Issued, LIFE_MAX};
use crate::clock;
use crate::oauth::error::{ErrorKind, TokenError};
use crate::secret::{
    AccessToken, ExposeSecret as _, SecretCommand, SecretError, SecretSource, SecretString,
};

/// The life of a token that does not tell it: half of it, five minutes, is used before the program
/// is run again. It may keep tokens by itself, so that nobody knows how much of this one is left;
/// and a program on this machine is asked at no cost.
const LIFE_UNTOLD: Duration = Duration::from_secs(10 * 60);

/// Runs it once.
pub(super) async fn ask(program: &SecretCommand, ends_at: Instant) -> Result<Answer, TokenError> {
    let source = SecretSource::Command(program.clone());
    let running = tokio::task::spawn_blocking(move || source.read());
    let printed = match timeout_at(ends_at, running).await {
        Ok(Ok(Ok(printed))) => printed,
        Ok(Ok(Err(SecretError::Command { problem, .. }))) => return Err(failed(program, &problem)),
        Ok(Ok(Err(error))) => return Err(failed(program, &error.to_string())),
        Ok(Err(_)) => return Err(failed(program, "was ended: the relay is shutting down")),
        Err(_) => return Err(failed(program, "has not ended in time")),
    };
    let token = AccessToken::parse(printed.expose_secret())
        .ok_or_else(|| failed(program, "did not print an access token alone on one line"))?;
    let life = match expiry(&printed) {
        Some(expiry) => expiry.saturating_sub(clock::unix_time()).min(LIFE_MAX),
        None => LIFE_UNTOLD,
    };
    if life.is_zero() {
        return Err(failed(program, "printed a token that has ended, by this machine's clock"));
    }
    Ok(Answer::of_token(Issued { token, life }))
}

/// The program gave no token, which may pass: it may want a network, or somebody to sign in.
fn failed(program: &SecretCommand, problem: &str) -> TokenError {
    let cause = format!("the command {:?} gives no token: it {problem}", program.program());
    let fix = "run it by hand as the user that mailbearer runs as";
    TokenError { kind: ErrorKind::Temporary, ..TokenError::configuration(cause, fix) }
}

/// `exp` of a token that is a JWT (RFC 7519 section 4.1.4), since 1970. Nobody looks at its
/// signature: it decides only when the program is run again.
fn expiry(token: &SecretString) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let mut parts = token.expose_secret().split('.');
    let (_header, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let claims = Zeroizing::new(URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?);
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    Duration::try_from_secs_f64(claims.exp).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::oauth::grant::{By, Issuer as _, Network};
    use crate::provider::{Grant, Way};

    fn grant(script: &str) -> Arc<Grant> {
        let arguments = ["-c", script, "tell-nobody"].map(str::to_owned).to_vec();
        let way = Way::Command(SecretCommand::new("sh".into(), arguments));
        Arc::new(Grant { way, ..Grant::of_application() })
    }

    async fn run(script: &str) -> Result<(String, Duration), TokenError> {
        let answer = Network::default().issue(&grant(script), &[], By::Itself).await?;
        let issued = answer.issued.unwrap();
        Ok((issued.token.expose_secret().to_owned(), issued.life))
    }

    fn jwt(claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(r#"{"alg":"RS256"}"#), part(claims), part("x"))
    }

    #[tokio::test]
    async fn line_that_a_program_prints_is_the_token() {
        let (token, life) = run("printf 'ya29.opaque\\n'").await.unwrap();
        assert_eq!((token.as_str(), life), ("ya29.opaque", LIFE_UNTOLD));
    }

    #[tokio::test]
    async fn token_of_a_program_lives_as_long_as_its_claims_say_and_a_day_at_most() {
        let life_of = async |exp: &str| {
            let token = jwt(&format!(r#"{{"exp":{exp},"sub":"1"}}"#));
            run(&format!("echo {token}")).await.map(|(_, life)| life.as_secs())
        };
        let now = clock::unix_time().as_secs();
        let hour = life_of(&(now + 3600).to_string()).await.unwrap();
        assert!((3590..=3600).contains(&hour), "{hour}");
        assert_eq!(life_of("99999999999").await.unwrap(), LIFE_MAX.as_secs());
        for odd in ["null", "\"soon\"", "-1", "1e999"] {
            let life = life_of(odd).await;
            assert_eq!(life.unwrap(), LIFE_UNTOLD.as_secs(), "{odd}");
        }
        for past in ["0", "1000000000"] {
            let error = life_of(past).await.unwrap_err();
            assert!(error.is_temporary() && error.cause.contains("has ended"), "{error}");
        }
    }

    #[tokio::test]
    async fn program_that_gives_no_token_is_temporary_and_nothing_that_it_printed_is_told() {
        for (script, told) in [
            ("echo leak >&2; echo leak; exit 3", "exit status: 3"),
            ("echo leak >&2", "is empty"),
            ("echo leak leak", "one line"),
            ("echo leak; echo leak", "one line"),
            ("printf 'leak\\001leak'", "one line"),
            ("printf 'leak\\r\\n\\n'", "one line"),
            ("head -c 70000 /dev/zero | tr '\\0' x", "longer than"),
        ] {
            let error = run(script).await.unwrap_err();
            assert!(error.is_temporary(), "{error:?}");
            assert!(error.cause.contains(told) && error.cause.contains("\"sh\""), "{error}");
            let text = format!("{error:?}");
            assert!(!text.contains("leak") && !text.contains("tell-nobody"), "{text}");
        }
        let missing = Way::Command(SecretCommand::new("/nonexistent/program".into(), Vec::new()));
        let grant = Arc::new(Grant { way: missing, ..Grant::of_application() });
        let error = Network::default().issue(&grant, &[], By::Itself).await.unwrap_err();
        assert!(error.is_temporary() && error.cause.contains("/nonexistent/program"), "{error}");
    }

    #[tokio::test]
    async fn program_that_runs_too_long_is_given_up_at_the_deadline() {
        let grant = grant("exec sleep 60");
        let Way::Command(program) = &grant.way else { panic!("{grant:?}") };
        let ends_at = Instant::now() + Duration::from_millis(50);
        let error = ask(program, ends_at).await.unwrap_err();
        assert!(error.is_temporary() && error.cause.contains("in time"), "{error}");
    }
}
