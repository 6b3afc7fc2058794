//! The configurations within the manifests, and the numbers that they share with the documents.

use std::fs;
use std::path::{Path, PathBuf};

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
fn pods_end_later_than_sessions_may_last() {
    // The default of `shutdown.grace` is 30 s, and a token request that is under way takes up to 45 s.
    for (name, manifest) in manifests().into_iter().filter(|(_, it)| it.contains("Deployment")) {
        let (_, seconds) = manifest.split_once("terminationGracePeriodSeconds: ").unwrap();
        let seconds = seconds.lines().next().unwrap();
        assert!(seconds.parse::<u32>().unwrap() > 75, "{name}");
    }
    let compose = fs::read_to_string(root().join("deploy/compose.yaml")).unwrap();
    assert!(compose.contains("stop_grace_period: 80s"));
}

#[test]
fn the_image_is_run_by_number_and_holds_what_the_script_puts_together() {
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).unwrap();
    assert!(dockerfile.contains("\nUSER 65534:65534\n") && dockerfile.contains("\nFROM scratch\n"));
    assert!(dockerfile.contains("deploy/image-root target/dist/mailbearer"));
    // What the build copies is what .dockerignore lets through.
    let ignored = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let is_let_through = |path: &str| ignored.lines().any(|line| line == format!("!{path}"));
    for needed in ["Cargo.toml", "Cargo.lock", "src", "deploy/image-root"] {
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
