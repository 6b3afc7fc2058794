//! The service that will run `serve`: a unit of systemd, or a container of a compose file.
//!
//! Their files are those of `deploy/`, with the paths of the configuration and of the client secret
//! put in. The service is another user, and reads the secret where it is handed to it.

use std::path::{Path, PathBuf};

use super::arguments::InitArgs;
use crate::store::shell_word;

const UNIT: &str = include_str!("../../../deploy/mailbearer.service");
const COMPOSE: &str = include_str!("../../../deploy/compose.yaml");

/// Where the unit looks for its configuration.
const UNIT_CONFIG: &str = "/etc/mailbearer/mailbearer.toml";

/// The unit's line that hands the secret over, which is a comment there, and its beginning.
const UNIT_SECRET: &str = "#LoadCredential=client-secret:/etc/mailbearer/secrets/client-secret";
const UNIT_SECRET_BEGIN: &str = "LoadCredential=client-secret:";

/// The compose file's lines of the configuration and of the secret.
const COMPOSE_CONFIG: &str = "./mailbearer.toml:";
const COMPOSE_SECRET: &str = "file: ./client-secret";

/// A service, and the file that describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Service {
    Unit(PathBuf),
    Compose(PathBuf),
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

    /// Where it reads the client secret.
    pub(super) fn secret_place(&self) -> PathBuf {
        PathBuf::from(match self {
            Self::Unit(_) => "/run/credentials/mailbearer.service/client-secret",
            Self::Compose(_) => "/run/secrets/client-secret",
        })
    }

    /// The file that describes it, for the configuration `output` and the client secret at `secret`.
    pub(super) fn content(&self, output: &Path, secret: Option<&Path>) -> String {
        let output = output.to_string_lossy();
        match self {
            Self::Unit(_) => {
                let unit = UNIT.replace(UNIT_CONFIG, &shell_word(&output));
                let Some(secret) = secret else { return unit };
                let line = format!("{UNIT_SECRET_BEGIN}{}", secret.display());
                unit.replace(UNIT_SECRET, &line)
            }
            Self::Compose(_) => {
                let compose = COMPOSE.replace(COMPOSE_CONFIG, &format!("{output}:"));
                let Some(secret) = secret else { return compose };
                compose.replace(COMPOSE_SECRET, &format!("file: {}", secret.display()))
            }
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

    /// What is to be done before it starts, in a sentence.
    pub(super) fn advice(&self) -> &'static str {
        match self {
            Self::Unit(_) => {
                "its first lines say how to install it; whatever else the configuration names has \
                 to be readable for its user"
            }
            Self::Compose(_) => {
                "put your application in it; the client secret has to be readable for its user, as \
                 after `chown 65534`"
            }
        }
    }
}
