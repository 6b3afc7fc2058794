//! A diagnosis: what a provider's refusal of a sign-in most likely means, and what mends it.
//!
//! In: the provider's reply, which its support people know by heart and nobody else. Out: cause and
//! fix, a clause each. The table holds replies that were seen in the wild; order counts.

/// What a refusal most likely means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Diagnosis {
    /// Why it refuses, in a clause.
    pub(crate) cause: &'static str,
    /// What to do, in a clause.
    pub(crate) fix: &'static str,
    /// What may mend it without anybody doing anything.
    pub(crate) remedy: Remedy,
}

/// What may mend a refusal without anybody doing anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// A newer token.
    Token,
    /// Time.
    Time,
    /// Nothing.
    Nothing,
}

impl Diagnosis {
    /// Of a reply that is final by its code.
    pub(crate) fn of(reply: &str) -> &'static Self {
        let reply = reply.to_ascii_lowercase();
        let is_met = |parts: &[&str]| parts.iter().all(|part| reply.contains(part));
        TABLE.iter().find(|(parts, _)| is_met(parts)).map_or(&UNKNOWN, |(_, diagnosis)| diagnosis)
    }
}

const UNKNOWN: Diagnosis = Diagnosis {
    cause: "the provider does not take this token for this mailbox",
    fix: "check `mailbox`, `scopes`, and whether the one who consented may use the mailbox",
    remedy: Remedy::Token,
};

/// Parts that a reply holds, in lower case, and what it means. The first that fits counts.
const TABLE: [(&[&str], Diagnosis); 16] = [
    (
        &["5.7.139", "smtpclientauthentication is disabled"],
        Diagnosis {
            cause: "SMTP AUTH is switched off for the mailbox or its whole tenant, which holds for \
                    OAuth too",
            fix: "run Set-CASMailbox MAILBOX -SmtpClientAuthenticationDisabled $false, which goes \
                  before the tenant's setting",
            remedy: Remedy::Nothing,
        },
    ),
    (
        &["5.7.139", "basic authentication is disabled"],
        Diagnosis {
            cause: "an authentication policy keeps this user from SMTP",
            fix: "look at the user's policy with Get-AuthenticationPolicy, and at the sign-in log \
                  of Entra",
            remedy: Remedy::Nothing,
        },
    ),
    (
        &["5.7.139", "security defaults"],
        Diagnosis {
            cause: "the security defaults of the organization lock this user out",
            fix: "replace them by Conditional Access policies that let this sign-in through",
            remedy: Remedy::Nothing,
        },
    ),
    (
        &["5.7.139"],
        Diagnosis {
            cause: "a policy of the organization refuses this user",
            fix: "look into the sign-in log of Entra: it names the Conditional Access policy",
            remedy: Remedy::Nothing,
        },
    ),
    (
        &["5.7.3", "authentication unsuccessful"],
        Diagnosis {
            cause: "the token is for another user than `mailbox`, or lacks the permission for SMTP",
            fix: "set `mailbox` to the user name of the one who consented; for an application \
                  check SMTP.SendAsApp, New-ServicePrincipal and Add-MailboxPermission, which \
                  take up to an hour",
            remedy: Remedy::Token,
        },
    ),
    (
        &["5.5.124"],
        Diagnosis {
            cause: "the application is not allowed to send high volume e-mail",
            fix: "run Add-HVEAppAccess for it",
            remedy: Remedy::Nothing,
        },
    ),
    (
        &["5.5.127"],
        Diagnosis {
            cause: "the token ends too soon",
            fix: "check this machine's clock",
            remedy: Remedy::Token,
        },
    ),
    (
        &["no authenticate failed"],
        Diagnosis {
            cause: "IMAP is off for the mailbox, or the token is for another user than `mailbox`",
            fix: "run Set-CASMailbox MAILBOX -ImapEnabled $true, and check `mailbox`; for an \
                  application IMAP.AccessAsApp and Add-MailboxPermission",
            remedy: Remedy::Token,
        },
    ),
    (
        &["too many simultaneous connections"],
        Diagnosis {
            cause: "the mailbox has as many connections as the provider allows",
            fix: "let clients of this mailbox open fewer connections, or close idle ones",
            remedy: Remedy::Time,
        },
    ),
    (&["5.7.8", "username and password not accepted"], GMAIL),
    (&["[authenticationfailed] invalid credentials"], GMAIL),
    (&["-err authentication failure: unknown user name or bad password"], EXCHANGE_POP3),
    (&["-err logon failure"], EXCHANGE_POP3),
    (
        &["-err [sys/perm]", "not enabled for pop access"],
        Diagnosis {
            cause: "POP is off in the settings of the mailbox",
            fix: "switch POP on in Gmail's settings, Forwarding and POP/IMAP, or for everybody in \
                  the Admin console",
            remedy: Remedy::Nothing,
        },
    ),
    (
        &["not enabled for imap use"],
        Diagnosis {
            cause: "IMAP is off in the settings of the mailbox",
            fix: "switch IMAP on in Gmail's settings, Forwarding and POP/IMAP, or for everybody in \
                  the Admin console",
            remedy: Remedy::Nothing,
        },
    ),
    (&["-err [auth]", "username and password not accepted"], GMAIL),
];

const EXCHANGE_POP3: Diagnosis = Diagnosis {
    cause: "POP3 is off for the mailbox, or the token is for another user than `mailbox`",
    fix: "run Set-CASMailbox MAILBOX -PopEnabled $true, and check `mailbox`; for an application \
          POP.AccessAsApp and Add-MailboxPermission",
    remedy: Remedy::Token,
};

const GMAIL: Diagnosis = Diagnosis {
    cause: "the token is for another user than `mailbox`, or lacks the scope for mail",
    fix: "check `mailbox`, and that https://mail.google.com/ was granted",
    remedy: Remedy::Token,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_that_no_token_mends_is_told_with_what_does() {
        for (reply, part) in [
            (
                "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for \
                 the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information.",
                "Set-CASMailbox",
            ),
            (
                "535 5.7.139 Authentication unsuccessful, user is locked by your organization's \
                 security defaults policy.",
                "Conditional Access",
            ),
            (
                "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria \
                 to be authenticated successfully.",
                "sign-in log",
            ),
            (
                "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
                "policy",
            ),
            ("535 5.7.139 something new", "sign-in log"),
            (
                "-ERR [SYS/PERM] Your account is not enabled for POP access. Please visit your \
                 Gmail settings page and enable your account for POP access.",
                "switch POP on",
            ),
            (
                "NO [ALERT] Your account is not enabled for IMAP use. Please visit your Gmail \
                 settings page and enable your account for IMAP access. (Failure)",
                "switch IMAP on",
            ),
        ] {
            let diagnosis = Diagnosis::of(reply);
            assert_eq!(diagnosis.remedy, Remedy::Nothing, "{reply}");
            assert!(diagnosis.fix.contains(part), "{reply}: {}", diagnosis.fix);
        }
    }

    #[test]
    fn a_reply_that_a_token_may_mend_is_told_apart() {
        for reply in [
            "535 5.7.3 Authentication unsuccessful [AM0PR01CA0100.eurprd01.prod.exchangelabs.com]",
            "535 5.7.8 Username and Password not accepted. For more information, go to",
            "NO AUTHENTICATE failed.",
            "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
            "-ERR Authentication failure: unknown user name or bad password.",
            "-ERR Logon failure",
            "-ERR [AUTH] Username and password not accepted.",
        ] {
            let diagnosis = Diagnosis::of(reply);
            assert_eq!(diagnosis.remedy, Remedy::Token, "{reply}");
            assert_ne!(diagnosis, &UNKNOWN, "{reply}");
        }
        assert_eq!(Diagnosis::of("535 no"), &UNKNOWN);
        let busy = Diagnosis::of("NO [ALERT] Too many simultaneous connections. (Failure)");
        assert_eq!(busy.remedy, Remedy::Time);
    }

    #[test]
    fn each_row_is_a_clause_that_fits_into_a_reply() {
        for diagnosis in TABLE.iter().map(|(_, diagnosis)| diagnosis).chain([&UNKNOWN]) {
            for clause in [diagnosis.cause, diagnosis.fix] {
                assert!(clause.is_ascii() && !clause.ends_with('.'), "{clause}");
            }
            assert!(diagnosis.cause.len() <= 100, "{}", diagnosis.cause);
        }
        let parts = TABLE.iter().flat_map(|(parts, _)| *parts);
        for part in parts {
            assert_eq!(*part, part.to_ascii_lowercase());
        }
    }
}
