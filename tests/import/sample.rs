//! A file of the same sections, options and placeholders as the sample configuration of
//! email-oauth2-proxy, which its package does not hold: whoever copied that and filled nothing in
//! gets a file that `check` accepts, and is told what to fill in.

use super::Imported;

/// The texts are ours. Endpoints and servers are what the providers document.
const SAMPLE: &str = "
[Email OAuth 2.0 Proxy configuration file]
format = what a value may look like
\tin lines that go on.
warning = keep it to yourself

[Server setup]
documentation = which servers there are:
\t- each has a port

\t- and a line that is no comment: [IMAP-9993]

[IMAP-1993]
documentation = to read
server_address = outlook.office365.com
server_port = 993
local_address = 127.0.0.1

[POP-1995]
server_address = outlook.office365.com
server_port = 995
local_address = 127.0.0.1

[SMTP-1587]
server_address = smtp-mail.outlook.com
server_port = 587
server_starttls = True
local_address = 127.0.0.1

[IMAP-2993]
server_address = imap.gmail.com
server_port = 993
local_address = 127.0.0.1

[POP-2995]
server_address = pop.gmail.com
server_port = 995
local_address = 127.0.0.1

[SMTP-2465]
server_address = smtp.gmail.com
server_port = 465
local_address = 127.0.0.1

[Account setup]
documentation = which accounts there are

[person@office.example]
permission_url = https://login.microsoftonline.com/common/oauth2/v2.0/authorize
token_url = https://login.microsoftonline.com/common/oauth2/v2.0/token
oauth2_scope = https://outlook.office.com/IMAP.AccessAsUser.All https://outlook.office.com/POP.AccessAsUser.All https://outlook.office.com/SMTP.Send offline_access
redirect_uri = http://localhost
client_id = *** your client id here ***
client_secret = *** your client secret here ***

[person@gmail.example]
permission_url = https://accounts.google.com/o/oauth2/auth
token_url = https://oauth2.googleapis.com/token
oauth2_scope = https://mail.google.com/
redirect_uri = http://localhost
client_id = *** your client id here ***
client_secret = *** your client secret here ***

[person@fastmail.example]
permission_url = https://api.fastmail.com/oauth/authorize
token_url = https://api.fastmail.com/oauth/refresh
oauth2_scope = https://www.fastmail.com/dev/protocol-imap https://www.fastmail.com/dev/protocol-pop https://www.fastmail.com/dev/protocol-smtp
redirect_uri = http://localhost
client_id = *** your client id here ***
use_pkce = True

[person@yahoo.example]
permission_url = https://api.login.yahoo.com/oauth2/request_auth
token_url = https://api.login.yahoo.com/oauth2/get_token
oauth2_scope = mail-w
redirect_uri = http://localhost
client_id = *** your client id here ***
client_secret = *** your client secret here ***

[person@aol.example]
permission_url = https://api.login.aol.com/oauth2/request_auth
token_url = https://api.login.aol.com/oauth2/get_token
oauth2_scope = mail-w
redirect_uri = http://localhost
client_id = *** your client id here ***
client_secret = *** your client secret here ***

[device@outlook.example]
permission_url = https://login.microsoftonline.com/common/oauth2/v2.0/devicecode
token_url = https://login.microsoftonline.com/common/oauth2/v2.0/token
oauth2_scope = https://outlook.office.com/IMAP.AccessAsUser.All https://outlook.office.com/POP.AccessAsUser.All https://outlook.office.com/SMTP.Send offline_access
oauth2_flow = device
redirect_uri = http://localhost
client_id = *** your client id here ***
client_secret = *** your client secret here ***

[application@tenant.example]
documentation = an application
\tof a tenant
token_url = https://login.microsoftonline.com/*** your tenant id here ***/oauth2/v2.0/token
oauth2_scope = https://outlook.office365.com/.default
oauth2_flow = client_credentials
redirect_uri = http://localhost
client_id = *** your client id here ***
client_secret = *** your client secret here ***

[scope@tenant.example]
token_url = https://login.microsoftonline.com/*** your tenant id here ***/oauth2/v2.0/token
oauth2_scope = https://outlook.office365.com/IMAP.AccessAsUser.All https://outlook.office365.com/POP.AccessAsUser.All https://outlook.office365.com/SMTP.Send offline_access
oauth2_flow = password
redirect_uri = http://localhost
client_id = *** your client id here ***
client_secret = *** your client secret here ***

[resource@tenant.example]
token_url = https://login.partner.microsoftonline.cn/*** your tenant id here ***/oauth2/token
oauth2_resource = https://partner.outlook.cn
oauth2_flow = password
redirect_uri = http://localhost
client_id = *** your client id here ***
client_secret = *** your client secret here ***

[filed@domain.example]
token_url = https://oauth2.googleapis.com/token
oauth2_scope = https://mail.google.com/
oauth2_flow = service_account
redirect_uri = http://localhost
client_id = file
client_secret = *** your /path/to/service-account-key.json here ***

[pasted@domain.example]
token_url = https://oauth2.googleapis.com/token
oauth2_scope = https://mail.google.com/
oauth2_flow = service_account
redirect_uri = http://localhost
client_id = key
client_secret = *** your pasted service account JSON key file contents here,
\tindented ***

[Advanced proxy configuration]
documentation = the rest

[emailproxy]
delete_account_token_on_password_error = True
encrypt_client_secret_on_first_use = False
use_login_password_as_client_credentials_secret = False
allow_catch_all_accounts = False
";

#[test]
fn the_sample_becomes_a_file_that_check_accepts_and_says_what_is_to_be_filled_in() {
    // `of` has `check` look at it.
    let imported = Imported::of(SAMPLE);
    let names = |kind: &str| -> Vec<String> {
        imported.table[kind].as_table().unwrap().keys().cloned().collect()
    };
    let listeners = ["imap-1993", "imap-2993", "pop-1995", "pop-2995", "smtp-1587", "smtp-2465"];
    assert_eq!(names("listeners"), listeners);
    let accounts = [
        "device@outlook.example",
        "person@aol.example",
        "person@fastmail.example",
        "person@gmail.example",
        "person@office.example",
        "person@yahoo.example",
    ];
    assert_eq!(names("accounts"), accounts);
    let sample = "Its client still has texts of the sample";
    assert_eq!(imported.told.matches(sample).count(), 9, "{}", imported.told);
    for aside in [
        "application@tenant.example",
        "scope@tenant.example",
        "resource@tenant.example",
        "filed@domain.example",
        "pasted@domain.example",
    ] {
        assert!(imported.toml.contains(&format!("#: [accounts.\"{aside}\"]")), "{aside}");
        let told = format!("set aside: [accounts.\"{aside}\"]: ");
        assert!(imported.told.contains(&told), "{aside}\n{}", imported.told);
    }
    // The file has no server of theirs.
    for unreached in ["fastmail", "yahoo", "aol"] {
        let told = format!("[person@{unreached}.example] No server of the file leads to");
        assert!(imported.told.contains(&told), "{}", imported.told);
        let step = format!("password person@{unreached}.example");
        assert!(!imported.told.contains(&step), "{}", imported.told);
    }
}

#[test]
fn the_sample_asks_for_no_other_consent_than_before() {
    let imported = Imported::of(SAMPLE);
    assert!(imported.table.get("providers").is_none_or(|providers| {
        providers.as_table().unwrap().values().all(|provider| provider.get("scopes").is_none())
    }));
    for said in ["It asked for less", "Its consent is asked for"] {
        assert!(!imported.told.contains(said), "{}", imported.told);
    }
}
