//! The configurations within the manifests, and the numbers that they share with the documents.

use std::fs;

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
    // The default of `shutdown.grace` is 30 s.
    for (name, manifest) in manifests().into_iter().filter(|(_, it)| it.contains("Deployment")) {
        let (_, seconds) = manifest.split_once("terminationGracePeriodSeconds: ").unwrap();
        let seconds = seconds.lines().next().unwrap();
        assert!(seconds.parse::<u32>().unwrap() > 30, "{name}");
    }
    let compose = fs::read_to_string(root().join("deploy/compose.yaml")).unwrap();
    assert!(compose.contains("stop_grace_period: 40s"));
}

#[test]
fn the_image_is_run_by_number_and_holds_what_the_script_puts_together() {
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).unwrap();
    assert!(dockerfile.contains("\nUSER 65534:65534\n") && dockerfile.contains("\nFROM scratch\n"));
    assert!(dockerfile.contains("deploy/image-root target/dist/mailbearer"));
    // What the build copies is what .dockerignore lets through.
    let ignored = fs::read_to_string(root().join(".dockerignore")).unwrap();
    for needed in ["Cargo.toml", "Cargo.lock", "src", "deploy/image-root"] {
        assert!(ignored.lines().any(|line| line == format!("!{needed}")), "{needed}");
    }
}
