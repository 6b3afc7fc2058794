//! `providers.NAME.authorization_params` and `resource`: what requests add for the provider's sake.

use reqwest::Url;

use super::field::Field;
use super::file::Reported;

/// Most parameters, and the longest name and value, in bytes: providers document a handful of short
/// ones, and a browser's address line has to hold them all.
const COUNT_MAX: usize = 16;
const NAME_LEN_MAX: usize = 64;
const VALUE_LEN_MAX: usize = 1024;

/// Parameters that have a meaning of their own here, and what to do instead.
const OURS: [(&str, &str); 15] = [
    ("response_type", CODE),
    ("response_mode", CODE),
    ("client_id", "write `client_id` in the account or in the provider's table"),
    ("client_secret", "write `client_secret`: a secret has no place in a browser's address line"),
    ("redirect_uri", "leave it out: `web.public_url`, or a listener for one answer, decides it"),
    ("scope", "write `scopes`"),
    ("resource", "write `resource` beside it: the token endpoint is told it, too"),
    ("state", FORGED),
    ("nonce", FORGED),
    ("code_challenge", PKCE),
    ("code_challenge_method", PKCE),
    ("login_hint", "leave it out: it is the account"),
    ("request", OBJECT),
    ("request_uri", OBJECT),
    ("registration", OBJECT),
];

const CODE: &str = "leave it out: the answer is a code in the query of the redirect";
const FORGED: &str = "leave it out: it is made anew for each request, so that no answer is forged";
const PKCE: &str = "leave it out: PKCE by S256 is always used (RFC 7636)";
const OBJECT: &str = "leave it out: it would replace the other parameters of the request";

/// The parameters in the table `field`. An empty value leaves a parameter of the preset out.
pub(super) fn read(field: &Field<'_>) -> Result<Vec<(String, String)>, Reported> {
    let params = field.table()?.take_named();
    if params.len() > COUNT_MAX {
        let help = format!("leave some out: at most {COUNT_MAX} are taken");
        return Err(field.problem(format!("holds {} parameters", params.len()), help));
    }
    let read = params.into_iter().map(|(name, field)| {
        check_name(name, &field)?;
        Ok((name.to_owned(), value(&field)?))
    });
    // Collected twice, because collecting into a `Result` would stop at the first error.
    read.collect::<Vec<_>>().into_iter().collect()
}

/// The parameters of a preset, changed by those of the file.
pub(super) fn merge(
    preset: &[(&str, &str)],
    written: Vec<(String, String)>,
) -> Vec<(String, String)> {
    let kept = preset.iter().filter(|(name, _)| !written.iter().any(|(other, _)| other == name));
    let kept: Vec<_> = kept.map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let written = written.into_iter().filter(|(_, value)| !value.is_empty());
    kept.into_iter().chain(written).collect()
}

fn check_name(name: &str, field: &Field<'_>) -> Result<(), Reported> {
    if let Some((_, help)) = OURS.iter().find(|(ours, _)| *ours == name) {
        return Err(field.problem("is a parameter that mailbearer sets itself", *help));
    }
    // RFC 6749 section 8.2: param-name = 1*name-char, "-", ".", "_", digit or letter.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if (1..=NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(fits) {
        Ok(())
    } else {
        let help = "write 1 to 64 letters, digits, `-`, `.` and `_`";
        Err(field.problem("is no name of a parameter", help))
    }
}

fn value(field: &Field<'_>) -> Result<String, Reported> {
    let text = field.text()?;
    if text.len() <= VALUE_LEN_MAX && !text.contains(char::is_control) {
        return Ok(text.to_owned());
    }
    let help = "write at most 1,024 bytes without control characters; it is encoded for the URL";
    Err(field.problem("is no value of a parameter", help))
}

/// The resource that tokens are for.
pub(super) fn resource(field: &Field<'_>) -> Result<String, Reported> {
    let text = field.text()?;
    // RFC 8707 section 2: an absolute URI, which must not include a fragment component.
    let is_uri = text.bytes().all(|byte| byte.is_ascii_graphic()) && Url::parse(text).is_ok();
    match (is_uri, text.contains('#')) {
        (true, false) => Ok(text.to_owned()),
        (true, true) => Err(field.problem("holds a fragment (#)", "leave the fragment out")),
        (false, _) => Err(field.problem(
            "is no absolute URI",
            "write it as the provider names it: \"https://mail.example/\"",
        )),
    }
}
