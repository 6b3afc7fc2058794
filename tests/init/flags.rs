//! `init` by flags alone, without a terminal.

use crate::dns::NameServer;
use crate::rig::{CLIENT_ID, Rig, google_key, mode, refused};

/// An application at Microsoft.
const APPLICATION: [&str; 10] = [
    "init",
    "--address",
    "App@Contoso.com",
    "--provider",
    "microsoft",
    "--grant",
    "client-credentials",
    "--client-id",
    CLIENT_ID,
    "--yes",
];

fn with<'a>(args: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [args, more].concat()
}

#[tokio::test]
async fn application_gets_a_file_that_check_accepts_and_four_fields() {
    let rig = Rig::new();
    let args = with(
        &APPLICATION,
        &["--client-secret-stdin", "--listen", "submission=localhost:2587", "--listen", "imap"],
    );
    let output = rig.run_with(&args, "s3cret~value\n").await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "enter in the application:");
    assert_eq!(lines[1], "  submission  localhost, port 2587, no encryption");
    assert!(lines[2].starts_with("  imap        localhost, port "), "{told}");
    assert_eq!(lines[3], "  user name   app@contoso.com");
    let password = lines[4].strip_prefix("  password    ").unwrap();
    assert_eq!(password.replace('-', "").len(), 20, "{told}");

    assert_eq!(rig.names(), ["home", "mailbearer.client-secret", "mailbearer.toml"]);
    assert_eq!(rig.read("mailbearer.client-secret"), "s3cret~value");
    assert_eq!(mode(&rig.path("mailbearer.client-secret")), 0o600);
    assert_eq!(mode(&rig.path("mailbearer.toml")), 0o644);
    let file = rig.read("mailbearer.toml");
    assert!(file.contains("tenant = \"contoso.com\""), "{file}");
    assert!(!file.contains("s3cret"), "{file}");
    let checked = rig.run(&["check"]).await;
    let checked = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.lines().count(), 1, "{checked}");
    assert!(checked.contains("no problems (2 listeners, 1 account)"), "{checked}");
}

#[tokio::test]
async fn everything_that_is_missing_is_told_at_once_when_nobody_can_be_asked() {
    let rig = Rig::new();
    let told = refused(&rig.run(&["init"]).await, 64);
    for flag in ["--address ADDRESS", "--grant GRANT", "--client-id ID"] {
        assert!(told.contains(flag), "{told}");
    }
    let told = refused(&rig.run(&["init", "--address", "a@gmail.com"]).await, 64);
    assert!(told.contains("--grant GRANT") && !told.contains("--address"), "{told}");
    let args = ["init", "--address", "a@gmail.com", "--grant", "authorization-code"];
    let told = refused(&rig.run(&args).await, 64);
    let lines: Vec<&str> = told.lines().skip_while(|line| !line.contains("missing")).collect();
    assert_eq!(
        lines,
        [
            "nobody can be asked here, and these flags are missing:",
            "  --client-id ID",
            "  --client-secret-env NAME, --client-secret-file FILE or --client-secret-stdin",
        ]
    );
    assert_eq!(rig.names(), [""; 0]);
}

#[tokio::test]
async fn wrong_flag_is_told_with_what_to_say() {
    let rig = Rig::new();
    for (wrong, told) in [
        (&["--address", "alice"][..], "--address: an address has one @"),
        (&["--provider", "gmial"], "--provider: name one of microsoft"),
        (&["--grant", "service-account"], "--grant: at this provider say one of"),
        (&["--tenant", "contoso"], "--tenant: enter the directory (tenant) ID"),
        (&["--client-id", "my app"], "--client-id: enter the application"),
        (&["--client-secret-env", "A-B"], "--client-secret-env: enter the name"),
        (&["--client-secret-file", "nowhere"], "--client-secret-file: enter the path"),
        (&["--listen", "smtp"], "--listen: say submission, imap or pop3"),
        (&["--listen", "submission=587"], "--listen: enter localhost:PORT"),
        (&["--listen", "submission=0.0.0.0:587"], "--listen: without TLS none but this"),
        (&["--devices", "10.0.0.0/8"], "--devices: enter a narrower network"),
        (&["--authorize", "mail"], "--authorize: say browser, paste"),
        (&["--authorize", "paste"], "--authorize: nobody consents to a grant of client-cred"),
        (&["--web", "nonsense"], "--web: enter localhost:PORT"),
        (&["--web", "0.0.0.0:8587"], "--web: without a certificate"),
        (&["--ca-file", "/nowhere"], "--ca-file: it is for a provider that --issuer names"),
        (&["--key-file", "key.json"], "--key-file: a grant of client-credentials"),
        (&["--listen", "imap", "--listen", "imap"], "--listen: imap is told twice"),
        (&["--listen", "imap", "--devices", "10.1.0.0/24"], "--devices: they send"),
        (
            &["--listen", "submission=127.0.0.1:2587", "--devices", "10.1.0.0/24"],
            "--listen: none but this machine reaches that address",
        ),
        (
            &["--listen", "submission=0.0.0.0:2587", "--devices", "2001:db8::/64"],
            "--listen: 2001:db8::/64 is IPv6",
        ),
    ] {
        let name = wrong[0];
        let mut args: Vec<&str> = APPLICATION.to_vec();
        if let Some(at) = args.iter().position(|arg| *arg == name) {
            args.drain(at..at + 2);
        }
        if !name.starts_with("--client-secret") {
            args.extend(["--client-secret-env", "CONTOSO_SECRET"]);
        }
        let output = rig.run(&with(&args, wrong)).await;
        let error = refused(&output, 64);
        assert!(error.contains(told), "{wrong:?}: {error}");
        assert_eq!(rig.names(), [""; 0], "{wrong:?}");
    }
}

#[tokio::test]
async fn secret_that_is_its_own_id_is_refused_and_not_repeated() {
    let rig = Rig::new();
    let args = with(&APPLICATION, &["--client-secret-stdin"]);
    let told = refused(&rig.run_with(&args, &format!("{CLIENT_ID}\n")).await, 64);
    assert!(told.contains("the ID of a secret") && !told.contains(CLIENT_ID), "{told}");
}

#[tokio::test]
async fn secret_that_cannot_be_kept_as_it_is_is_refused_and_not_repeated() {
    let rig = Rig::new();
    let args = with(&APPLICATION, &["--client-secret-stdin"]);
    let longest = "x".repeat(65_536);
    for (input, told) in [
        (b"caf\xe9-secret\n".to_vec(), "is no UTF-8"),
        (format!("{longest}y\n").into_bytes(), "is longer than 65,536 bytes"),
    ] {
        let error = refused(&rig.run_with(&args, input).await, 64);
        assert!(
            error.contains(told) && !error.contains("caf") && !error.contains("xxx"),
            "{error}"
        );
        assert_eq!(rig.names(), [""; 0]);
    }
    let output = rig.run_with(&args, format!("{longest}\n")).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(rig.read("mailbearer.client-secret"), longest);
}

#[tokio::test]
async fn flag_of_another_grant_or_provider_is_refused() {
    let rig = Rig::new();
    std::fs::write(rig.path("key.json"), google_key()).unwrap();
    let service_account = ["init", "--yes", "--address", "a@contoso.com", "--provider", "google"];
    let service_account =
        with(&service_account, &["--grant", "service-account", "--key-file", "key.json"]);
    let person = ["init", "--yes", "--address", "a@gmail.com", "--grant", "authorization-code"];
    let person = with(&person, &["--client-id", "x", "--client-secret-env", "S"]);
    for (args, wrong, flag) in [
        (&service_account, &["--client-id", "x"][..], "--client-id: "),
        (&service_account, &["--client-secret-env", "S"], "--client-secret-env, "),
        (&service_account, &["--tenant", "contoso.com"], "--tenant: "),
        (&person, &["--tenant", "contoso.com"], "--tenant: "),
        (&person, &["--key-file", "key.json"], "--key-file: "),
        (&person, &["--authorize", "device"], "--authorize: this provider has no codes"),
    ] {
        let told = refused(&rig.run(&with(args, wrong)).await, 64);
        assert!(told.contains(flag), "{wrong:?}: {told}");
        assert_eq!(rig.names(), ["key.json"], "{wrong:?}");
    }
}

#[tokio::test]
async fn commands_of_the_page_about_the_first_run_write_files_that_check_accepts() {
    let page = include_str!("../../docs/first-run.md");
    let commands: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("mailbearer init --yes ")).collect();
    assert_eq!(commands.len(), 2);
    for command in commands {
        let rig = Rig::new();
        std::fs::write(rig.path("client-secret"), "secret").unwrap();
        let args: Vec<&str> = ["init", "--yes"].into_iter().chain(command.split(' ')).collect();
        let args = with(
            &args,
            if command.contains("--provider") { &[] } else { &["--provider", "microsoft"] },
        );
        let output = rig.run(&args).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let mut check = rig.program();
        let checked = check.arg("check").env("CONTOSO_SECRET", "secret").output().await.unwrap();
        let checked = String::from_utf8(checked.stdout).unwrap();
        assert!(checked.contains("no problems") && checked.lines().count() == 1, "{checked}");
    }
}

#[tokio::test]
async fn file_that_is_there_is_replaced_by_force_alone() {
    let rig = Rig::new();
    std::fs::write(rig.path("mailbearer.toml"), "old").unwrap();
    let args = with(&APPLICATION, &["--client-secret-env", "CONTOSO_SECRET"]);
    let told = refused(&rig.run(&args).await, 64);
    assert!(told.contains("is there already"), "{told}");
    assert_eq!(rig.read("mailbearer.toml"), "old");

    let output = rig.run(&with(&args, &["--force"])).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(rig.read("mailbearer.toml").contains("[listeners.submission]"));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("CONTOSO_SECRET is not set here"), "{told}");
}

#[tokio::test]
async fn secret_of_an_earlier_run_is_replaced_by_force_alone() {
    let rig = Rig::new();
    std::fs::write(rig.path("mailbearer.client-secret"), "old").unwrap();
    let args = with(&APPLICATION, &["--client-secret-stdin"]);
    let told = refused(&rig.run_with(&args, "new\n").await, 64);
    assert!(told.contains("mailbearer.client-secret is there already"), "{told}");
    assert_eq!(rig.names(), ["mailbearer.client-secret"]);
    assert_eq!(rig.read("mailbearer.client-secret"), "old");
}

#[tokio::test]
async fn devices_get_a_listener_in_the_network() {
    let rig = Rig::new();
    let more = ["--client-secret-env", "S", "--devices", "192.168.20.17,192.168.21.0/24"];
    let output = rig.run(&with(&APPLICATION, &more)).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let file = rig.read("mailbearer.toml");
    assert!(file.contains("networks = [\"192.168.20.17\", \"192.168.21.0/24\"]"), "{file}");
    assert!(file.contains("address = \"0.0.0.0:"), "{file}");
    let mut check = rig.program();
    let checked = check.arg("check").env("S", "secret").output().await.unwrap();
    let checked = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.lines().count(), 1, "{checked}");
    assert!(checked.contains("(1 listener, 1 account, 1 device)"), "{checked}");
}

#[tokio::test]
async fn devices_of_both_families_get_a_listener_for_each() {
    for (devices, hosts) in
        [("2001:db8::/64", &["[::]:"][..]), ("192.168.20.17 2001:db8::/64", &["0.0.0.0:", "[::]:"])]
    {
        let rig = Rig::new();
        let more = ["--client-secret-stdin", "--devices", devices];
        let output = rig.run_with(&with(&APPLICATION, &more), "secret").await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let file = rig.read("mailbearer.toml");
        let address = file.lines().find(|line| line.starts_with("address = ")).unwrap();
        for host in ["0.0.0.0:", "[::]:"] {
            let is_there = address.contains(&format!("\"{host}"));
            assert_eq!(is_there, hosts.contains(&host), "{address}");
        }
        let checked = rig.run(&["check"]).await;
        let checked = String::from_utf8(checked.stdout).unwrap();
        assert_eq!(checked.lines().count(), 1, "{checked}");
    }
}

#[tokio::test]
async fn service_account_needs_its_file_alone() {
    let rig = Rig::new();
    let args = ["init", "--address", "a@contoso.com", "--provider", "google", "--grant"];
    let args = with(&args, &["service-account"]);
    let told = refused(&rig.run(&args).await, 64);
    assert!(told.contains("--key-file FILE") && !told.contains("--client"), "{told}");
    // What is no key is told before anything is written.
    for no_key in ["{}", "example.com\n", ""] {
        std::fs::write(rig.path("key.json"), no_key).unwrap();
        let told = refused(&rig.run(&with(&args, &["--key-file", "key.json"])).await, 64);
        assert!(told.starts_with("--key-file: the file "), "{told}");
        assert_eq!(rig.names(), ["key.json"]);
    }
    std::fs::write(rig.path("key.json"), google_key()).unwrap();
    let output = rig.run(&with(&args, &["--key-file", "key.json"])).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let key_file = rig.path("key.json").canonicalize().unwrap();
    let file = rig.read("mailbearer.toml");
    assert!(file.contains(&format!("key_file = \"{}\"", key_file.display())), "{file}");
}

#[tokio::test]
async fn file_goes_where_c_or_output_says_and_directories_are_made() {
    let rig = Rig::new();
    let args = with(&["-c", "etc/one.toml"], &APPLICATION);
    let args = with(&args, &["--client-secret-stdin"]);
    let output = rig.run_with(&args, "secret").await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(rig.read("etc/one.toml").contains("{ file = \"one.client-secret\" }"));
    assert_eq!(rig.read("etc/one.client-secret"), "secret");

    std::fs::write(rig.path("file"), "").unwrap();
    let args = with(&APPLICATION, &["--client-secret-env", "S", "--output", "file/x.toml"]);
    let told = refused(&rig.run(&args).await, 1);
    assert!(told.contains("cannot be written ("), "{told}");
}

#[tokio::test]
async fn provider_that_is_told_asks_no_name_server() {
    let rig = Rig::new();
    let server = NameServer::silent().await;
    let address = server.address.to_string();
    let more = ["--client-secret-env", "S", "--name-server", &address];
    let output = rig.run(&with(&APPLICATION, &more)).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(server.questions(), 0);
}
