//! Names that are none of ours: each is set aside alone, and holds up no other account.

use crate::{Imported, PERSON, SERVERS, application, mailbearer, text};

/// Another provider, so that listeners name their accounts.
const AT_GOOGLE: &str = "
[IMAP-2993]
server_address = imap.gmail.com
server_port = 993
local_address = localhost
[x@gmail.com]
permission_url = https://accounts.google.com/o/oauth2/auth
token_url = https://oauth2.googleapis.com/token
oauth2_scope = https://mail.google.com/
redirect_uri = http://localhost
client_id = the-other-client
client_secret = s3cret
";

#[test]
fn a_name_that_check_refuses_takes_no_listener_from_the_others() {
    let longest = format!("{}@x.example", "a".repeat(310));
    for (name, is_refused) in [
        ("a\tb@x.example", true),
        ("a@*.contoso.com", true),
        (&format!("a{longest}"), true),
        (&longest, false),
    ] {
        let imported = Imported::of(&format!("{SERVERS}{PERSON}{AT_GOOGLE}{}", application(name)));
        assert_eq!(imported.has("accounts", name), !is_refused, "{name:?}");
        for listener in ["imap-1993", "pop-1995", "smtp-1587", "imap-2993"] {
            assert!(imported.has("listeners", listener), "{name:?}: {listener}\n{}", imported.told);
        }
        assert!(!imported.told.contains("nobody reaches it"), "{}", imported.told);
    }
}

#[test]
fn an_account_whose_listeners_are_set_aside_is_told_so() {
    let wrong = SERVERS
        .replace("local_address = 127.0.0.1", "local_address = mail.example")
        .replace("local_address = ::1", "local_address = mail.example")
        .replace("local_address = localhost", "local_address = mail.example");
    let imported = Imported::of(&format!("{wrong}{PERSON}{AT_GOOGLE}"));
    assert!(!imported.has("listeners", "smtp-1587"), "{}", imported.told);
    assert!(
        imported.tells("Its listeners are set aside, so nobody reaches it"),
        "{}",
        imported.told
    );
    assert!(!imported.told.contains("No server of the file leads"), "{}", imported.told);
}

#[test]
fn the_file_that_is_translated_is_not_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let config = format!("{SERVERS}{PERSON}");
    std::fs::write(dir.path().join("e.config"), &config).unwrap();
    std::os::unix::fs::symlink("e.config", dir.path().join("link")).unwrap();
    for output in ["e.config", "./e.config", "link"] {
        let args = ["import", "emailproxy", "e.config", "--force", "-o", output];
        let refused = mailbearer(dir.path(), &args);
        assert_eq!(refused.status.code(), Some(64), "{refused:?}");
        assert!(text(&refused.stderr).contains("would be lost"), "{refused:?}");
        assert_eq!(std::fs::read_to_string(dir.path().join("e.config")).unwrap(), config);
    }
}
