//! The configurations within the manifests, and the numbers that they share with the documents.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::pages::root;
use super::scene::Scene;

/// The manifests, with their names.
fn manifests() -> Vec<(String, String)> {
    let all = fs::read_dir(root().join("deploy/kubernetes")).unwrap();
    let paths = all.map(|entry| entry.unwrap().path());
    let read = paths.map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, fs::read_to_string(path).unwrap())
    });
    read.collect()
}

/// The `mailbearer.toml` of a ConfigMap, if there is one.
fn configuration(manifest: &str) -> Option<String> {
    let (_, block) = manifest.split_once("  mailbearer.toml: |\n")?;
    let indented = block.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    Some(indented.map(|line| line.trim_start_matches("    ").to_owned() + "\n").collect())
}

#[test]
fn the_configuration_of_each_manifest_passes_check() {
    let mut checked = 0;
    for (name, manifest) in manifests() {
        let Some(file) = configuration(&manifest) else { continue };
        assert!(file.contains("probes = \"0.0.0.0:8588\""), "{name}: the pod's probes ask there");
        // What is mounted in a pod lies beside the file here.
        let file = file.replace("/run/secrets/", "secrets/").replace("/var/lib/mailbearer/", "");
        let told = Scene::new(&file).run(&["check"], b"");
        assert!(told.contains(": no problems") && !told.contains("warning"), "{name}: {told}");
        checked += 1;
    }
    assert_eq!(checked, 2);
}

#[test]
fn the_image_that_the_readme_has_pushed_is_the_one_that_the_manifests_pull() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let image = "registry.example/mailbearer:0.1.0";
    for line in [format!("docker build -t {image} ."), format!("docker push {image}")] {
        assert!(readme.lines().any(|it| it == line), "{line}");
    }
    let is_run = |manifest: &str| manifest.lines().any(|it| it.trim() == format!("image: {image}"));
    assert_eq!(manifests().iter().filter(|(_, manifest)| is_run(manifest)).count(), 2);
}

/// What docs/containers.md says to begin with for deploy/compose.yaml, which passes no variable on.
#[test]
fn the_example_of_the_compose_file_needs_no_variable_and_makes_a_password() {
    let compose = fs::read_to_string(root().join("deploy/compose.yaml")).unwrap();
    assert!(compose.contains("secrets: [client-secret]") && !compose.contains("environment:"));
    let example = fs::read_to_string(root().join("config/application.toml")).unwrap();
    let of_variables: Vec<_> = example.lines().filter(|line| line.contains("{ env = \"")).collect();
    let set = |key: &str| of_variables.iter().find(|line| line.starts_with(key)).unwrap();
    let file = example
        .replace(*set("client_secret = "), "client_secret = { file = \"secrets/client-secret\" }")
        .replace(*set("local_password = "), "");
    let mut scene = Scene::new(&file);
    scene.env.clear();
    let told = scene.run(&["check"], b"");
    assert!(told.contains(": no problems") && !told.contains("warning"), "{told}");
    let page = fs::read_to_string(root().join("docs/containers.md")).unwrap();
    let (_, account) = page.split_once("exec mailbearer mailbearer password ").unwrap();
    let account = account.lines().next().unwrap();
    assert_eq!(scene.run(&["password", account], b"").trim_end().len(), 20);
}

/// How long a container may take to end, in seconds: the default of `shutdown.grace`, and what else the
/// relay asks systemd for.
fn end_of_relay() -> u64 {
    let seconds = |file: &str, constant: &str| {
        let code = fs::read_to_string(root().join(file)).unwrap();
        let (_, value) = code.split_once(&format!("const {constant}: Duration = ")).unwrap();
        let (_, seconds) = value.split_once("from_secs(").unwrap();
        seconds.split(')').next().unwrap().parse::<u64>().unwrap()
    };
    seconds("src/config/settings.rs", "GRACE_DEFAULT") + seconds("src/app/notify.rs", "END_MARGIN")
}

/// The first number behind `key` in `text`.
fn number(text: &str, key: &str) -> u64 {
    let (_, behind) = text.split_once(key).unwrap_or_else(|| panic!("no {key}"));
    let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn containers_end_later_than_the_relay() {
    let end = end_of_relay();
    for (name, manifest) in manifests().into_iter().filter(|(_, it)| it.contains("Deployment")) {
        assert!(number(&manifest, "terminationGracePeriodSeconds: ") > end, "{name}");
    }
    let compose = fs::read_to_string(root().join("deploy/compose.yaml")).unwrap();
    assert!(number(&compose, "stop_grace_period: ") > end);
    assert!(number(&guide(), "--stop-timeout ") > end);
}

/// docs/containers.md.
fn guide() -> String {
    fs::read_to_string(root().join("docs/containers.md")).unwrap()
}

/// The lines of `text` that begin with `command`, be it in a block or in a comment.
fn lines_of<'t>(text: &'t str, command: &str) -> Vec<&'t str> {
    let lines = text.lines().map(|line| line.trim_start_matches('#').trim_start());
    lines.filter(|line| line.starts_with(command)).collect()
}

#[test]
fn manifests_hold_no_secret_and_name_the_lines_that_make_them() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut made = 0;
    for (name, manifest) in manifests() {
        assert!(!manifest.contains("kind: Secret"), "{name}: who forgets it runs with it");
        let Some(file) = configuration(&manifest) else { continue };
        let lines = lines_of(&manifest, "kubectl create secret generic ");
        let [line] = lines.as_slice() else { panic!("{name}: {lines:?}") };
        assert!(guide().contains(line), "{name}: {line}");
        assert_eq!(readme.contains(line), name == "sidecar.yaml", "{name}");
        let secret = line.split(' ').nth(4).unwrap();
        assert!(manifest.contains(&format!("secret: {{ secretName: {secret}, ")), "{name}");
        // What the file names is what the line makes.
        for key in file.split("/run/secrets/mailbearer/").skip(1) {
            let key = key.split('"').next().unwrap();
            let is_made = [format!("--from-file={key} "), format!("--from-literal={key}=")]
                .iter()
                .any(|flag| line.contains(flag));
            assert!(is_made, "{name}: {key}");
            made += 1;
        }
        // And what it draws is taken.
        let (_, draw) = line.split_once("$(openssl ").unwrap();
        let words = draw.split(')').next().unwrap().split(' ');
        let drawn = Command::new("openssl").args(words).output().unwrap();
        assert!(drawn.status.success());
        let (_, key) = line.split_once("--from-literal=").unwrap();
        let key = key.split('=').next().unwrap();
        let file = file.replace("/run/secrets/", "secrets/").replace("/var/lib/mailbearer/", "");
        let scene = Scene::new(&file);
        let path = scene.dir.path().join("secrets/mailbearer").join(key);
        assert!(path.exists(), "{name}: {key}");
        fs::write(path, drawn.stdout.trim_ascii_end()).unwrap();
        assert!(scene.run(&["check"], b"").contains(": no problems"), "{name}");
    }
    assert_eq!(made, 4);
}

#[test]
fn a_policy_keeps_strangers_from_the_port_that_names_accounts() {
    let all = manifests();
    for (files, app) in [
        (["sidecar.yaml", "sidecar.yaml"], "application"),
        (["deployment.yaml", "network-policy.yaml"], "mailbearer"),
    ] {
        let [pods, policy] =
            files.map(|file| &all.iter().find(|(name, _)| name == file).unwrap().1);
        let of_kind = |text: &str, kind: &str| -> String {
            let mut parts =
                text.split("\n---\n").filter(|it| it.contains(&format!("kind: {kind}\n")));
            parts.next().unwrap().to_owned()
        };
        let selector = format!("matchLabels: {{ app: {app} }}");
        assert!(of_kind(pods, "Deployment").contains(&selector), "{app}");
        let policy = of_kind(policy, "NetworkPolicy");
        assert!(policy.contains(&format!("podSelector:\n    {selector}")), "{app}");
        // The rule with that port says from where, and is the only one with it.
        let rules: Vec<_> =
            policy.split("\n    - ").filter(|it| it.contains("port: 8588")).collect();
        let [rule] = rules.as_slice() else { panic!("{app}: {rules:?}") };
        assert!(rule.starts_with("from:") && rule.contains("namespaceSelector:"), "{rule}");
    }
}

#[test]
fn lines_of_the_guide_name_what_is_there() {
    let guide = guide();
    let build = lines_of(&guide, "docker build ");
    assert_eq!(build, ["docker build -t mailbearer ."]);
    let run = lines_of(&guide, "docker run ");
    let [run] = run.as_slice() else { panic!("{run:?}") };
    assert!(run.ends_with(" mailbearer") && run.contains(" --name mailbearer "), "{run}");
    let mounts: Vec<_> =
        run.split(" -v ").skip(1).map(|it| it.split(' ').next().unwrap()).collect();
    for mount in &mounts {
        let inside = mount.trim_matches('"').split(':').nth(1).unwrap();
        assert!(guide.contains(&format!("| `{inside}` |")), "{inside}");
    }
    // The health check of the image asks through the control socket, which is there.
    assert!(mounts.iter().any(|mount| mount.ends_with(":/var/lib/mailbearer")), "{mounts:?}");

    let mut ran = 0;
    for line in
        lines_of(&guide, "docker exec ").into_iter().chain(lines_of(&guide, "kubectl exec "))
    {
        let words: Vec<&str> = line.split(' ').collect();
        let at = words.iter().skip(2).position(|word| !word.starts_with('-')).unwrap() + 2;
        match words[0] {
            "docker" => assert_eq!(words[at], "mailbearer", "{line}"),
            _ => {
                let name = words[at].strip_prefix("deploy/").unwrap();
                let deployment = format!("kind: Deployment\nmetadata:\n  name: {name}\n");
                assert!(manifests().iter().any(|(_, it)| it.contains(&deployment)), "{line}");
                assert_eq!(words[at + 1], "--", "{line}");
            }
        }
        // What asks needs a terminal to ask at.
        assert_eq!(words.contains(&"--paste"), words.contains(&"-it"), "{line}");
        ran += 1;
    }
    assert_eq!(ran, 4);
    for line in lines_of(&guide, "kubectl apply ") {
        for file in line.split(" -f ").skip(1) {
            assert!(root().join(file).is_file(), "{line}");
        }
    }
}

#[test]
fn the_image_is_run_by_number_and_holds_what_the_script_puts_together() {
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).unwrap();
    assert!(dockerfile.contains("\nUSER 65534:65534\n") && dockerfile.contains("\nFROM scratch\n"));
    assert!(dockerfile.contains("deploy/image-root target/dist/mailbearer"));
    // What the build copies is what .dockerignore lets through.
    let ignored = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let is_let_through = |path: &str| ignored.lines().any(|line| line == format!("!{path}"));
    for needed in
        ["Cargo.toml", "Cargo.lock", "src", "deploy/build", "deploy/order", "deploy/image-root"]
    {
        assert!(is_let_through(needed), "{needed}");
    }
    // And so is what the program is compiled with.
    let mut taken = 0;
    for source in sources(&root().join("src")) {
        let text = fs::read_to_string(&source).unwrap();
        for path in text.split("include_str!(\"").skip(1) {
            let path = path.split('"').next().unwrap().trim_start_matches("../");
            if path.starts_with("deploy/") {
                assert!(is_let_through(path), "{path}, of {}", source.display());
                taken += 1;
            }
        }
    }
    assert_eq!(taken, 2);
}

/// Every file below `directory`.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(sources(&path)) } else { found.push(path) }
    }
    found
}
