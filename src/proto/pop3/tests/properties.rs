//! Random names and passwords.

use proptest::collection::vec;
use proptest::prelude::*;

use super::Pop3;
use crate::proto::Privacy;
use crate::proto::promises::server::hear;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_name_and_a_password_are_claimed_as_they_were_sent(
        username in "[!-~äöü]([ -~äöü]{0,40}[!-~äöü])?",
        password in vec(any::<u8>().prop_filter("no line end", |byte| !b"\0\r\n".contains(byte)), 0..200),
    ) {
        let sent = [b"USER ", username.as_bytes(), b"\r\nPASS ", &password, b"\r\n"].concat();
        prop_assert_eq!(hear::<Pop3>(Privacy::Clear, sent).claims, [(username, password)]);
    }
}
