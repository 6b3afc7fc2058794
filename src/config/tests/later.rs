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
}
