//! Opening a browser, where there is one.

use std::env;

/// Opens `url` in the browser of whoever runs this; gives why not, in a clause.
///
/// The address is on the command line of the program that opens it, for everybody on the machine
/// to see. It holds `state` and the challenge of PKCE, by which nobody gets a token.
pub(super) fn open(url: &str) -> Result<(), String> {
    if let Some(reason) = missing() {
        return Err(reason.to_owned());
    }
    // Anything else might open a file, or start another program.
    if !["https://", "http://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err("it is no web address".to_owned());
    }
    open::that_detached(url).map_err(|error| {
        format!("no program opens addresses here ({error}; xdg-open is in the package xdg-utils)")
    })
}

/// Why there is no browser in front of whoever runs this, if there is none.
pub(super) fn missing() -> Option<&'static str> {
    no_browser(|name| env::var_os(name).is_some_and(|it| !it.is_empty()))
}

/// The same, told by the environment's variables.
fn no_browser(is_set: impl Fn(&str) -> bool) -> Option<&'static str> {
    let any = |names: &[&str]| names.iter().any(|name| is_set(name));
    if any(&["SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT"]) {
        // With a forwarded display one could run, far from the person's own, without their session.
        Some("this is an SSH session")
    } else if cfg!(target_os = "macos") || any(&["DISPLAY", "WAYLAND_DISPLAY", "WSL_INTEROP"]) {
        None
    } else {
        Some("this session has no display")
    }
}

/// What whoever has the browser on another machine types there, so that the answer to
/// `redirect_uri` comes here; nothing if it comes to no port of this machine.
pub(super) fn forwarding(redirect_uri: &str) -> Option<String> {
    let authority = redirect_uri.strip_prefix("http://")?.split('/').next()?;
    let (host, port) = authority.rsplit_once(':')?;
    let is_here = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    (is_here && port.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| format!("ssh -L {port}:{host}:{port} THIS-MACHINE"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browser_is_there_when_a_display_is_and_nobody_came_by_ssh() {
        let told = |set: &[&str]| no_browser(|name| set.contains(&name));
        for ssh in [&["SSH_TTY"][..], &["SSH_CONNECTION", "DISPLAY"]] {
            assert_eq!(told(ssh), Some("this is an SSH session"));
        }
        for display in [&["DISPLAY"][..], &["WAYLAND_DISPLAY"], &["WSL_INTEROP"]] {
            assert_eq!(told(display), None);
        }
        #[cfg(not(target_os = "macos"))]
        assert_eq!(told(&["TERM"]), Some("this session has no display"));
    }

    #[test]
    fn port_of_a_redirect_to_this_machine_can_be_forwarded() {
        for (redirect_uri, line) in [
            ("http://localhost:50123", "ssh -L 50123:localhost:50123 THIS-MACHINE"),
            ("http://127.0.0.1:50123/", "ssh -L 50123:127.0.0.1:50123 THIS-MACHINE"),
            ("http://[::1]:8587/oauth/callback", "ssh -L 8587:[::1]:8587 THIS-MACHINE"),
        ] {
            assert_eq!(forwarding(redirect_uri).as_deref(), Some(line));
        }
        for elsewhere in [
            "https://mail.example:8587/oauth/callback",
            "http://localhost/x",
            "http://localhost:x/",
        ] {
            assert_eq!(forwarding(elsewhere), None, "{elsewhere}");
        }
    }
}
