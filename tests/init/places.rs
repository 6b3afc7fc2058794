//! Where `init` may write: never over what its answers name, nor where no name leads.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::rig::{APPLICATION, Rig, google_key, refused};

const SERVICE_ACCOUNT: &[&str] = &["--provider", "google", "--grant", "service-account"];
const OWN: &[&str] = &["--issuer", "https://id.example", "--scopes", "mail"];
const OF_OWN: &[&str] = &[
    "--submission",
    "mail.example:465",
    "--grant",
    "authorization-code",
    "--client-id",
    "app",
    "--ca-file",
    "ca.pem",
];

#[tokio::test]
async fn no_file_is_written_over_another_that_the_answers_name() {
    let file: &[&str] = &["--client-secret-file", "sec"];
    let stdin: &[&str] = &["--client-secret-stdin"];
    for parts in [
        &[SERVICE_ACCOUNT, &["--key-file", "k.json", "-o", "k.json"]][..],
        &[APPLICATION, file, &["-o", "sec"]],
        &[APPLICATION, file, &["-o", "link"]],
        &[APPLICATION, file, &["-o", "mb.toml", "--unit", "sec"]],
        &[APPLICATION, file, &["-o", "mb.toml", "--compose", "sub/../sec"]],
        &[APPLICATION, stdin, &["-o", "x.client-secret"]],
        &[APPLICATION, stdin, &["-o", "mb.toml", "--unit", "mb.client-secret"]],
        &[OWN, OF_OWN, &["-o", "ca.pem"]],
    ] {
        let rig = Rig::new();
        let ca = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap();
        let there = [("k.json", google_key()), ("sec", "s3cret".into()), ("ca.pem", ca.cert.pem())];
        for (name, content) in &there {
            std::fs::write(rig.path(name), content).unwrap();
        }
        std::fs::create_dir(rig.path("sub")).unwrap();
        std::os::unix::fs::symlink("sec", rig.path("link")).unwrap();
        let before = rig.names();
        let args = ["init", "--yes", "--force", "--address", "app@contoso.com"];
        let args = [&args[..], &parts.concat()].concat();
        let told = refused(&rig.run_with(&args, "typed").await, 64);
        assert!(told.contains("would be written over another file"), "{parts:?}: {told}");
        assert_eq!(rig.names(), before, "{parts:?}");
        for (name, content) in &there {
            assert_eq!(rig.read(name), *content, "{parts:?}");
        }
    }
}

#[tokio::test]
async fn configuration_and_service_have_a_file_each_whatever_way_leads_there() {
    let rig = Rig::new();
    std::fs::create_dir(rig.path("sub")).unwrap();
    let args = ["init", "--yes", "--force", "-o", "mb.toml", "--unit", "sub/../mb.toml"];
    let told = refused(&rig.run(&args).await, 64);
    assert!(told.contains("have a file each"), "{told}");
    assert_eq!(rig.names(), ["sub"]);
}

#[tokio::test]
async fn path_that_no_configuration_can_name_is_refused() {
    let odd = OsStr::from_bytes(b"s\xff");
    for (flag, parts) in [
        ("--client-secret-file", &[APPLICATION][..]),
        ("--key-file", &[SERVICE_ACCOUNT]),
        ("--ca-file", &[OWN, &OF_OWN[..6]]),
        ("--output", &[APPLICATION, &["--client-secret-env", "S"]]),
    ] {
        let rig = Rig::new();
        std::fs::write(rig.dir.path().join(odd), google_key()).unwrap();
        let mut program = rig.program();
        program.args(["init", "--yes", "--force", "--address", "app@contoso.com"]);
        program.args(parts.concat()).arg(flag).arg(odd);
        let told = refused(&program.output().await.unwrap(), 64);
        assert!(told.starts_with(&format!("{flag}: ")) && told.contains("UTF-8"), "{told}");
        assert_eq!(std::fs::read_dir(rig.dir.path()).unwrap().count(), 1, "{flag}");
    }
}
