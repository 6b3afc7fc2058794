//! The service that will run `serve`: a unit of systemd, or a container of a compose file.
//!
//! Their files are those of `deploy/`, with what belongs to the answers put in. The service is
//! another user in another place: each file that the configuration names is handed over to it, and
//! what it could not be given is refused with a sentence.

use std::mem;
use std::path::{Path, PathBuf};

use super::arguments::InitArgs;
use super::interview::Stop;
use crate::config::template::{Choice, Draft, Place};
use crate::store::shell_word;

const UNIT: &str = include_str!("../../../deploy/mailbearer.service");
const COMPOSE: &str = include_str!("../../../deploy/compose.yaml");

/// Where the unit looks for its configuration, and where units lie.
const UNIT_CONFIG: &str = "/etc/mailbearer/mailbearer.toml";
const UNITS: &str = "/etc/systemd/system";

/// The unit's own name there, and the line that puts it there.
const UNIT_NAME: &str = "mailbearer.service";
const UNIT_INSTALL: &str = "#   install -m 644 deploy/mailbearer.service /etc/systemd/system/\n";

/// The end of the line that starts it.
const UNIT_ENABLE: &str = "enable --now mailbearer\n";

/// The unit's line that hands a secret over, which is a comment there.
const UNIT_SECRET: &str = "#LoadCredential=client-secret:/etc/mailbearer/secrets/client-secret\n";

/// What `ProtectHome=yes` hides from the unit (systemd.exec(5)).
const HIDDEN: [&str; 3] = ["/home", "/root", "/run/user"];

/// What `PrivateTmp=yes` gives it anew, and empty (systemd.exec(5)). Whoever looks at what is written
/// before they install it writes there.
const EMPTIED: [&str; 2] = ["/tmp", "/var/tmp"];

/// Where the compose file's own head ends, and its lines of the image, of the configuration and of
/// the secret.
const COMPOSE_BEGIN: &str = "services:\n";
const COMPOSE_BUILD: &str = "    build:\n      context: ..\n";
const COMPOSE_CONFIG: &str = "./mailbearer.toml:";
const COMPOSE_USES: &str = "    secrets: [client-secret]\n";
const COMPOSE_SECRETS: &str = "\nsecrets:\n  client-secret:\n    file: ./client-secret\n";

/// The user that the container runs as.
const COMPOSE_USER: &str = "65534";

/// What a path may hold besides letters and digits: anything else means something to systemd, to
/// compose or to YAML.
const PLAIN: &str = "/._-+@=,";

/// A service, and the file that describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Service {
    Unit(PathBuf),
    Compose(PathBuf),
}

/// A file that the service reads by another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HandedOver {
    name: &'static str,
    path: PathBuf,
}

impl Service {
    /// The one that is asked for.
    pub(super) fn of(arguments: &InitArgs) -> Option<Self> {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let unit = arguments.unit.as_ref().map(|path| Self::Unit(absolute(path)));
        unit.or_else(|| arguments.compose.as_ref().map(|path| Self::Compose(absolute(path))))
    }

    /// The file that describes it.
    pub(super) fn path(&self) -> &Path {
        let (Self::Unit(path) | Self::Compose(path)) = self;
        path
    }

    /// Where its configuration is, unless somebody says otherwise.
    pub(super) fn usual_output(&self) -> PathBuf {
        match self {
            Self::Unit(_) => PathBuf::from(UNIT_CONFIG),
            Self::Compose(path) => path.with_file_name("mailbearer.toml"),
        }
    }

    /// Looks whether it can read its configuration at `output`.
    ///
    /// # Errors
    /// When it cannot.
    pub(super) fn check_output(&self, output: &Path) -> Result<(), Stop> {
        self.check_path(self.path())?;
        self.check_path(output)?;
        match HIDDEN.iter().find(|hidden| output.starts_with(hidden)) {
            Some(hidden) if matches!(self, Self::Unit(_)) => Err(Stop::Wrong(format!(
                "--output: the unit sees nothing below {hidden}: choose another place, as \
                 {UNIT_CONFIG}"
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// Looks whether a variable of the environment reaches it.
    ///
    /// # Errors
    /// What to answer instead.
    pub(super) fn check_variable(&self) -> Result<(), String> {
        match self {
            Self::Unit(_) => Err("a unit has no variable of a shell: have the client secret in a \
                                  file, as by --client-secret-stdin or --client-secret-file"
                .to_owned()),
            Self::Compose(_) => Ok(()),
        }
    }

    /// Whether printers and scanners reach it.
    pub(super) fn is_reached_by_devices(&self) -> bool {
        matches!(self, Self::Unit(_))
    }

    /// Puts into `draft` where the service finds each file; gives what is handed over to it. A
    /// client secret that was typed goes to `typed`.
    ///
    /// # Errors
    /// When one cannot be handed over.
    pub(super) fn take_over(
        &self,
        draft: &mut Draft,
        typed: Option<&Path>,
    ) -> Result<Vec<HandedOver>, Stop> {
        let mut files: Vec<(&'static str, &mut PathBuf)> = Vec::new();
        if let Some(Place::File(path)) = &mut draft.secret {
            if let Some(typed) = typed {
                typed.clone_into(path);
            }
            files.push(("client-secret", path));
        }
        files.extend(draft.key_file.as_mut().map(|path| ("service-account.json", path)));
        if let Choice::Own(own) = &mut draft.provider {
            files.extend(own.ca_file.as_mut().map(|path| ("ca.pem", path)));
        }
        let handed_over = files.into_iter().map(|(name, path)| {
            self.check_path(path)?;
            Ok(HandedOver { name, path: mem::replace(path, self.place(name)) })
        });
        handed_over.collect()
    }

    /// Where it reads what is handed over as `name`.
    fn place(&self, name: &str) -> PathBuf {
        match self {
            Self::Unit(_) => Path::new("/run/credentials").join(self.unit_name()).join(name),
            Self::Compose(_) => Path::new("/run/secrets").join(name),
        }
    }

    /// The name of the unit, which its credentials' directory has.
    fn unit_name(&self) -> &str {
        let name = self.path().file_name().and_then(|name| name.to_str());
        name.filter(|name| name.ends_with(".service")).unwrap_or(UNIT_NAME)
    }

    fn check_path(&self, path: &Path) -> Result<(), Stop> {
        let is_plain = |text: &str| text.chars().all(|c| c.is_alphanumeric() || PLAIN.contains(c));
        if path.to_str().is_some_and(is_plain) {
            return Ok(());
        }
        let (flag, file) = match self {
            Self::Unit(_) => ("--unit", "a unit"),
            Self::Compose(_) => ("--compose", "a compose file"),
        };
        Err(Stop::Wrong(format!(
            "{flag}: {path:?} cannot stand in {file} as it is: choose a path of letters, digits \
             and {PLAIN}"
        )))
    }

    /// The file that describes it, for the configuration `output`, what is `handed_over`, and the
    /// variable of the environment that it needs.
    pub(super) fn content(
        &self,
        output: &Path,
        handed_over: &[HandedOver],
        variable: Option<&str>,
    ) -> String {
        match self {
            Self::Unit(path) => {
                let name = self.unit_name();
                let install = if path.parent() == Some(Path::new(UNITS)) {
                    String::new()
                } else {
                    format!("#   install -m 644 {} {UNITS}/{name}\n", path.display())
                };
                let lines = handed_over
                    .iter()
                    .map(|file| format!("LoadCredential={}:{}\n", file.name, file.path.display()));
                let unit = UNIT
                    .replace(UNIT_INSTALL, &install)
                    .replace(UNIT_CONFIG, &output.display().to_string())
                    .replace(UNIT_ENABLE, &format!("enable --now {name}\n"));
                if handed_over.is_empty() {
                    unit
                } else {
                    unit.replace(UNIT_SECRET, &lines.collect::<String>())
                }
            }
            Self::Compose(path) => compose(path, output, handed_over, variable),
        }
    }

    /// The command line by which it is asked for something, up to the command.
    pub(super) fn command(&self, output: &Path) -> String {
        match self {
            Self::Unit(_) => {
                let output = shell_word(&output.to_string_lossy());
                format!("sudo -u mailbearer mailbearer -c {output}")
            }
            Self::Compose(path) => {
                let path = shell_word(&path.to_string_lossy());
                format!("docker compose -f {path} exec mailbearer /usr/local/bin/mailbearer")
            }
        }
    }

    /// What is to be done before it starts, in lines.
    pub(super) fn advice(
        &self,
        output: &Path,
        handed_over: &[HandedOver],
        variable: Option<&str>,
    ) -> Vec<String> {
        let path = self.path().display();
        let mut lines = Vec::new();
        match self {
            Self::Unit(_) => {
                if let Some(emptied) = EMPTIED.iter().find(|it| output.starts_with(it)) {
                    lines.push(format!(
                        "warning: {}: the unit has a {emptied} of its own and does not see it: move \
                         it, as to {UNIT_CONFIG}, and name the new place in the unit",
                        output.display()
                    ));
                }
                lines.push(format!("{path}: its first lines say how to install it"));
            }
            Self::Compose(_) => {
                lines.push(format!("{path}: put your application in the place of the example"));
                for HandedOver { path, .. } in handed_over {
                    let path = shell_word(&path.to_string_lossy());
                    lines.push(format!(
                        "  its user has to read what it is handed: `chown {COMPOSE_USER} {path}`"
                    ));
                }
                lines.extend(variable.map(|name| {
                    format!(
                        "  export {name} where you type `docker compose up`, or write it in .env"
                    )
                }));
            }
        }
        lines
    }
}

/// The compose file at `path`.
fn compose(
    path: &Path,
    output: &Path,
    handed_over: &[HandedOver],
    variable: Option<&str>,
) -> String {
    let path = shell_word(&path.to_string_lossy());
    let head = format!(
        "# mailbearer beside one application. Written by `mailbearer init`; from now on it is yours.\n\
         #\n\
         # The image is made by `docker build -t mailbearer .` in mailbearer's source.\n\
         #\n\
         #   docker compose -f {path} up -d\n\
         #   docker compose -f {path} exec mailbearer mailbearer accounts\n\n"
    );
    let names: Vec<&str> = handed_over.iter().map(|file| file.name).collect();
    let mut uses = String::new();
    if !names.is_empty() {
        uses += &format!("    secrets: [{}]\n", names.join(", "));
    }
    if let Some(name) = variable {
        uses += &format!(
            "    # The client secret, from where `docker compose up` is typed, or from .env.\n    \
             environment: [{name}]\n"
        );
    }
    let mut secrets = String::new();
    for (nth, HandedOver { name, path }) in handed_over.iter().enumerate() {
        secrets += if nth == 0 { "\nsecrets:\n" } else { "" };
        secrets += &format!("  {name}:\n    file: {}\n", path.display());
    }
    let (_, services) = COMPOSE.split_once(COMPOSE_BEGIN).unwrap_or(("", COMPOSE));
    let services = services
        .replace(COMPOSE_BUILD, "")
        .replace(COMPOSE_CONFIG, &format!("{}:", output.display()))
        .replace(COMPOSE_USES, &uses)
        .replace(COMPOSE_SECRETS, &secrets);
    format!("{head}{COMPOSE_BEGIN}{services}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_stands_once_in_the_files_of_deploy() {
        for once in [UNIT_INSTALL, UNIT_SECRET, UNIT_ENABLE] {
            assert_eq!(UNIT.matches(once).count(), 1, "{once:?}");
        }
        assert_eq!(UNIT.matches(UNIT_CONFIG).count(), 2, "start and reload");
        assert!(UNIT.contains("\nProtectHome=yes\n") && UNIT.contains("\nPrivateTmp=yes\n"));
        let lines = [COMPOSE_BEGIN, COMPOSE_BUILD, COMPOSE_CONFIG, COMPOSE_USES, COMPOSE_SECRETS];
        for once in lines {
            assert_eq!(COMPOSE.matches(once).count(), 1, "{once:?}");
        }
        assert!(COMPOSE.contains(&format!("user: \"{COMPOSE_USER}:")));
    }

    #[test]
    fn unit_is_refused_a_configuration_that_it_does_not_see() {
        let unit = Service::Unit("/etc/systemd/system/mailbearer.service".into());
        for hidden in ["/home/me/mailbearer.toml", "/root/mb.toml", "/run/user/0/mb.toml"] {
            assert!(unit.check_output(Path::new(hidden)).is_err(), "{hidden}");
            let compose = Service::Compose("/srv/compose.yaml".into());
            assert!(compose.check_output(Path::new(hidden)).is_ok(), "{hidden}");
        }
        for seen in [UNIT_CONFIG, "/homes/mb.toml", "/srv/ü-1/mb.toml"] {
            assert!(unit.check_output(Path::new(seen)).is_ok(), "{seen}");
        }
    }

    #[test]
    fn unit_is_warned_of_a_configuration_that_it_has_an_empty_directory_for() {
        let unit = Service::Unit("/etc/systemd/system/mailbearer.service".into());
        let compose = Service::Compose("/srv/compose.yaml".into());
        let warns = |service: &Service, output: &str| {
            assert!(service.check_output(Path::new(output)).is_ok(), "{output}");
            let lines = service.advice(Path::new(output), &[], None);
            lines.iter().any(|line| line.starts_with(&format!("warning: {output}: the unit has")))
        };
        for emptied in ["/tmp/mb.toml", "/var/tmp/sub/mb.toml"] {
            assert!(warns(&unit, emptied) && !warns(&compose, emptied), "{emptied}");
        }
        for seen in [UNIT_CONFIG, "/tmpl/mb.toml", "/var/mb.toml"] {
            assert!(!warns(&unit, seen), "{seen}");
        }
    }

    #[test]
    fn path_that_means_something_else_there_is_refused() {
        for odd in ["/srv/a b", "/srv/%h", "/srv/$HOME", "/srv/a: b", "/srv/it's", "/srv/#a\n"] {
            for service in [Service::Unit("/u".into()), Service::Compose("/c".into())] {
                assert!(service.check_output(Path::new(odd)).is_err(), "{odd:?}");
            }
        }
    }

    #[test]
    fn unit_in_its_place_is_not_installed_there_again() {
        let there = Service::Unit("/etc/systemd/system/relay.service".into());
        let unit = there.content(Path::new("/etc/mb.toml"), &[], None);
        assert!(!unit.contains("#   install -m 644"), "{unit}");
        assert!(unit.contains("systemctl enable --now relay.service\n"), "{unit}");
        assert_eq!(there.place("x"), Path::new("/run/credentials/relay.service/x"));
        let elsewhere =
            Service::Unit("/tmp/unit".into()).content(Path::new("/etc/mb.toml"), &[], None);
        let line = "#   install -m 644 /tmp/unit /etc/systemd/system/mailbearer.service\n";
        assert!(elsewhere.contains(line), "{elsewhere}");
    }
}
