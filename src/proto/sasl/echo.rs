//! What a server sends back of what it was shown: some repeat a line that they do not understand, and
//! that may be the one with the token.
//!
//! In:  a reply as it is shown to people, and the secrets of the sign-in. Out: the reply without them.

use crate::secret::{ExposeSecret as _, SecretString};

/// How many characters in a row are taken for a part of a secret. Of a token, or of its base64, these
/// are some 96 bits, which nobody writes by chance and which nobody can do anything with.
const PART_LEN: usize = 16;

/// The shortest secret that is looked for, in bytes. What is shorter may be an ordinary word.
const SECRET_LEN_MIN: usize = 8;

/// What stands in the place of a secret.
const HIDDEN: &str = "[hidden]";

/// `reply`, which is printable ASCII, with `[hidden]` in the place of each part of a secret.
pub(super) fn without(reply: &str, secrets: [&SecretString; 2]) -> String {
    let mut is_hidden = vec![false; reply.len()];
    for secret in secrets.map(|secret| secret.expose_secret().as_bytes()) {
        if secret.len() < SECRET_LEN_MIN {
            continue;
        }
        let part_len = secret.len().min(PART_LEN);
        for (at, part) in reply.as_bytes().windows(part_len).enumerate() {
            if memchr::memmem::find(secret, part).is_some() {
                is_hidden.iter_mut().skip(at).take(part_len).for_each(|it| *it = true);
            }
        }
    }
    let mut shown = String::with_capacity(reply.len());
    let mut is_within = false;
    for (character, is_hidden) in reply.chars().zip(is_hidden) {
        if !is_hidden {
            shown.push(character);
        } else if !is_within {
            shown.push_str(HIDDEN);
        }
        is_within = is_hidden;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "abcdefghijklmnopqrstuvwxyz0123456789";

    #[track_caller]
    fn assert_shown(reply: &str, shown: &str) {
        let (token, short) = (SecretString::from(TOKEN), SecretString::from("command"));
        assert_eq!(without(reply, [&token, &short]), shown);
    }

    #[test]
    fn a_secret_that_is_sent_back_is_hidden_whole_or_in_part() {
        assert_shown(&format!("500 what is '{TOKEN}'?"), "500 what is '[hidden]'?");
        assert_shown(&format!("500 {TOKEN} {TOKEN}"), "500 [hidden] [hidden]");
        assert_shown(&TOKEN[3..30], "[hidden]");
        assert_shown(&format!("500 {}", &TOKEN[..16]), "500 [hidden]");
        assert_shown(&format!("500 {}", &TOKEN[..15]), &format!("500 {}", &TOKEN[..15]));
    }

    #[test]
    fn what_is_no_secret_stays_as_it_is() {
        for reply in ["", "535 5.7.3 Authentication unsuccessful [AM0PR01CA0100.example]"] {
            assert_shown(reply, reply);
        }
        assert_shown("500 unknown command", "500 unknown command");
    }
}
