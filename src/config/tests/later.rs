//! What the documentation names and this version does not have.

use super::*;

/// Every key and word of the documented file that is still to come is refused as such.
#[test]
fn what_is_not_built_yet_is_refused_as_such() {
    let refused_later = |table: &str, lines: &[&str]| {
        for text in lines {
            let key = text.split_once(" =").unwrap().0;
            let told = problems(&good_with(&[(END, &format!("[{table}]\n{text}"))]));
            let sentence = format!("`{table}.{key}` is not in this version of mailbearer");
            assert_eq!(told, [format!("13: {sentence}")], "{text}");
        }
    };
    refused_later("store", &["url = { env = \"X\" }"]);
    refused_later("limits", &["warm_connections = 8"]);

    let words = r#"
        4 proxy_protocol_from = []
        4: `listeners.submission.proxy_protocol_from` is not in this version of mailbearer
        "#;
    refused("", words);
    refused(
        "listeners.submission",
        r#"
        3 address = "unix:relay.sock"
        address is "unix:relay.sock": unix and systemd sockets are not in this version of mailbearer
        3 address = "systemd:smtp"
        address is "systemd:smtp": unix and systemd sockets are not in this version of mailbearer
        "#,
    );
}
