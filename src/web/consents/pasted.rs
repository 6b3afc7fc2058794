//! What a person pastes: the whole address that their browser was sent to.

use oauth2::url::{Position, Url};

use super::error::PasteError;

/// Longest address taken, in bytes. RFC 6749 sets no limit; Entra's answers have some 2 KiB, and
/// browsers and servers end at 8 to 32 KiB.
const LEN_MAX: usize = 32 * 1024;

/// The query of `pasted`, which must be an address at `redirect_uri`.
pub(super) fn query(pasted: &str, redirect_uri: &str) -> Result<String, PasteError> {
    let pasted = bare(pasted.trim());
    if pasted.len() > LEN_MAX {
        return Err(PasteError::TooLong);
    }
    let url = Url::parse(pasted).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.ok_or(PasteError::NoAddress)?;
    let other = || PasteError::OtherAddress { redirect_uri: redirect_uri.to_owned() };
    // Parsed as well, because a browser writes the slash that `http://localhost:PORT` lacks.
    let redirect = Url::parse(redirect_uri).map_err(|_| other())?;
    if url[..Position::AfterPath] != redirect[..Position::AfterPath] {
        return Err(other());
    }
    Ok(url.query().ok_or(PasteError::NoAnswer)?.to_owned())
}

/// What stands in the quotes or angle brackets that chats and shells put around an address, none
/// of which begins with one of these.
fn bare(pasted: &str) -> &str {
    let pairs = [('"', '"'), ('\'', '\''), ('<', '>')];
    let inner = |(open, close)| pasted.strip_prefix(open)?.strip_suffix(close);
    pairs.into_iter().find_map(inner).unwrap_or(pasted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCALHOST: &str = "http://localhost:50123";

    #[test]
    fn query_is_what_stands_behind_the_question_mark() {
        for (pasted, uri) in [
            ("http://localhost:50123/?code=a%20b&state=c", LOCALHOST),
            ("  http://LOCALHOST:50123?code=a%20b&state=c#fragment\r\n", LOCALHOST),
            ("\"http://localhost:50123/?code=a%20b&state=c\"", LOCALHOST),
            (" <http://localhost:50123/?code=a%20b&state=c>\n", LOCALHOST),
            ("http://127.0.0.1:50123/?code=a%20b&state=c", "http://127.0.0.1:50123/"),
            (
                "https://mail.example/oauth/callback?code=a%20b&state=c",
                "https://mail.example:443/oauth/callback",
            ),
        ] {
            assert_eq!(query(pasted, uri).unwrap(), "code=a%20b&state=c", "{pasted}");
        }
    }

    #[test]
    fn bare_code_is_refused_because_state_and_iss_cannot_be_compared() {
        let long = "x".repeat(LEN_MAX);
        for bare in
            ["0.AXoA", "code=0.AXoA&state=c", "?code=a&state=c", "", "localhost:50123", &long]
        {
            let error = query(bare, LOCALHOST).unwrap_err();
            assert_eq!(error, PasteError::NoAddress, "{bare}");
            assert!(error.to_string().contains("`state`") && error.to_string().contains("`iss`"));
        }
        assert_eq!(query(&(long + "x"), LOCALHOST), Err(PasteError::TooLong));
    }

    #[test]
    fn address_of_another_redirect_is_refused() {
        for other in [
            "http://localhost:50124/?code=a&state=c",
            "https://localhost:50123/?code=a&state=c",
            "http://127.0.0.1:50123/?code=a&state=c",
            "http://localhost:50123/callback?code=a&state=c",
            "http://person@localhost:50123/?code=a&state=c",
            "http://localhost:50123/%00?code=a&state=c",
            "http://localhost:50123\\@evil.example/?code=a&state=c",
            "http://localhost:50123@evil.example/?code=a&state=c",
            "https://login.example/authorize?client_id=a&state=c",
        ] {
            let error = query(other, LOCALHOST).unwrap_err();
            assert!(matches!(error, PasteError::OtherAddress { .. }), "{other}");
        }
        assert_eq!(query("http://localhost:50123/", LOCALHOST), Err(PasteError::NoAnswer));
    }
}
