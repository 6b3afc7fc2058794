//! Replies that refuse a sign-in, and those that come at any time.
//!
//! Source: threads of those who met them, Microsoft's pages on SMTP AUTH and on high volume e-mail,
//! Google's on SMTP errors.

use super::{Diagnosis, Limit, Remedy, Row, Stage};
use crate::provider::Protocol;

/// The first that fits counts.
pub(super) static ROWS: [Row; 29] = [
    Row {
        begins: "535 5.7.139 ",
        holds: &["smtpclientauthentication is disabled"],
        sample: "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for \
                 the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information.",
        ..smtp(Diagnosis::new(
            "SMTP AUTH is switched off for the mailbox or its whole tenant, which holds for OAuth \
             too",
            "run Set-CASMailbox MAILBOX -SmtpClientAuthenticationDisabled $false, which goes \
             before the tenant's setting",
        ))
    },
    Row {
        begins: "535 5.7.139 ",
        holds: &["basic authentication is disabled"],
        sample: "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
        ..smtp(Diagnosis::new(
            "an authentication policy keeps this user from SMTP",
            "look at the user's policy with Get-AuthenticationPolicy, and at the sign-in log of \
             Entra",
        ))
    },
    Row {
        begins: "535 5.7.139 ",
        holds: &["security defaults"],
        sample: "535 5.7.139 Authentication unsuccessful, user is locked by your organization's \
                 security defaults policy. Contact your administrator.",
        ..smtp(Diagnosis::new(
            "the security defaults of the organization lock this user out",
            "replace them by Conditional Access policies that let this sign-in through",
        ))
    },
    Row {
        begins: "535 5.7.139 ",
        holds: &["credentials were incorrect"],
        sample: "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.",
        ..smtp(Diagnosis::new(
            "the provider does not know this user by this token, or the user is blocked",
            "check `mailbox`, and look into the sign-in log of Entra",
        ))
    },
    Row {
        begins: "535 5.7.139 ",
        sample: "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to \
                 be authenticated successfully. Contact your administrator.",
        ..smtp(Diagnosis::new(
            "a policy of the organization refuses this user",
            "look into the sign-in log of Entra: it names the Conditional Access policy",
        ))
    },
    Row {
        begins: "535 5.7.3 ",
        holds: &["authentication unsuccessful"],
        sample: "535 5.7.3 Authentication unsuccessful \
                 [AM0PR01CA0100.eurprd01.prod.exchangelabs.com]",
        ..smtp(
            Diagnosis::new(
                "the token is for another user than `mailbox`, or lacks the permission for SMTP",
                "set `mailbox` to the user name of the one who consented; for an application check \
                 SMTP.SendAsApp, New-ServicePrincipal and Add-MailboxPermission, which take up to \
                 an hour",
            )
            .mended_by(Remedy::Token),
        )
    },
    Row {
        stage: Stage::Either,
        begins: "5",
        holds: &[" 5.5.124 "],
        sample: "501 5.5.124 Application is not allowed to send high volume email",
        ..smtp(Diagnosis::new(
            "the application is not allowed to send high volume e-mail",
            "run Add-HVEAppAccess for it",
        ))
    },
    Row {
        stage: Stage::Either,
        begins: "5",
        holds: &[" 5.5.127 "],
        sample: "501 5.5.127 Token is about to expire",
        ..smtp(
            Diagnosis::new("the token ends too soon", "check this machine's clock")
                .mended_by(Remedy::Token),
        )
    },
    Row {
        stage: Stage::Either,
        begins: "5",
        holds: &[" 5.7.30 "],
        sample: "550 5.7.30 Basic authentication is not supported for Client Submission.",
        ..smtp(Diagnosis::new(
            "a password reached the provider, which takes tokens alone",
            "let the device speak to mailbearer and not to the provider",
        ))
    },
    Row {
        stage: Stage::Either,
        begins: "432 4.3.2 ",
        holds: &["storedrv.deliver"],
        sample: "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded",
        ..smtp(
            Diagnosis::new(
                "the recipient's mailbox takes no more at once, which no setting here changes",
                "nothing: the client sends it again",
            )
            .mended_by(Remedy::Time)
            .normal(),
        )
    },
    Row {
        stage: Stage::Either,
        begins: "432 4.3.2 ",
        holds: &["storedrv.clientsubmit"],
        sample: "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded",
        ..smtp(SESSIONS)
    },
    Row {
        stage: Stage::Either,
        begins: "432 4.3.2 ",
        sample: "432 4.3.2 Concurrent connections limit exceeded. Visit \
                 https://aka.ms/concurrent_sending for more information.",
        ..smtp(SESSIONS)
    },
    Row {
        begins: "454 4.7.0 ",
        holds: &["too many login attempts"],
        sample: "454 4.7.0 Too many login attempts, please try again later.",
        ..smtp(
            Diagnosis::new(
                "the mailbox is signed in to more often than Gmail allows",
                "let its clients connect less often, and wait",
            )
            .mended_by(Remedy::Time),
        )
    },
    Row {
        begins: "454 4.7.0 ",
        sample: "454 4.7.0 Cannot authenticate due to a temporary system problem. Try again later.",
        ..smtp(AWAY)
    },
    Row {
        stage: Stage::Either,
        begins: "451 4.7.0 ",
        sample: "451 4.7.0 Temporary server error. Please try again later. PRX2",
        ..smtp(AWAY)
    },
    Row {
        stage: Stage::Either,
        begins: "421 4.3.2 ",
        sample: "421 4.3.2 Service not available",
        ..smtp(AWAY)
    },
    Row {
        stage: Stage::Either,
        begins: "421 4.7.0 ",
        sample: "421 4.7.0 Try again later, closing connection.",
        ..smtp(
            Diagnosis::new(
                "the provider takes no more from this address or mailbox for a while",
                "wait; where it lasts, let its clients connect and send less often",
            )
            .mended_by(Remedy::Time),
        )
    },
    Row {
        begins: "535 5.7.8 ",
        holds: &["username and password not accepted"],
        sample: "535 5.7.8 Username and Password not accepted. For more information, go to",
        ..smtp(GMAIL)
    },
    Row {
        holds: &["no authenticate failed"],
        sample: "NO AUTHENTICATE failed.",
        ..imap(
            Diagnosis::new(
                "IMAP is off for the mailbox, or the token is for another user than `mailbox`",
                "run Set-CASMailbox MAILBOX -ImapEnabled $true, and check `mailbox`; for an \
                 application IMAP.AccessAsApp and Add-MailboxPermission",
            )
            .mended_by(Remedy::Token),
        )
    },
    Row {
        stage: Stage::Either,
        holds: &["too many simultaneous connections"],
        sample: "NO [ALERT] Too many simultaneous connections. (Failure)",
        ..imap(
            Diagnosis::new(
                "the mailbox has as many connections as the provider allows",
                "let clients of this mailbox open fewer connections, or close idle ones",
            )
            .mended_by(Remedy::Time),
        )
    },
    Row {
        stage: Stage::Either,
        holds: &["request is throttled", "suggested backoff time"],
        sample: "BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds",
        ..imap(
            Diagnosis::new(
                "Exchange slows this user down, who asked for too much in a short time",
                "let clients of this mailbox ask less often and open fewer connections, and wait",
            )
            .mended_by(Remedy::Time),
        )
    },
    Row {
        stage: Stage::Either,
        holds: &["account exceeded command or bandwidth limits"],
        sample: "NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)",
        ..imap(
            Diagnosis::new(
                "the mailbox has moved more bytes or commands today than Gmail allows",
                "wait up to a day, and let its clients fetch less",
            )
            .mended_by(Remedy::Time),
        )
    },
    Row {
        holds: &["[authenticationfailed] invalid credentials"],
        sample: "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
        ..imap(GMAIL)
    },
    Row {
        holds: &["not enabled for imap use"],
        sample: "NO [ALERT] Your account is not enabled for IMAP use. Please visit your Gmail \
                 settings page and enable your account for IMAP access. (Failure)",
        ..imap(Diagnosis::new(
            "IMAP is off in the settings of the mailbox",
            "switch IMAP on in Gmail's settings, Forwarding and POP/IMAP, or for everybody in the \
             Admin console",
        ))
    },
    Row {
        begins: "-err authentication failure: unknown user name or bad password",
        sample: "-ERR Authentication failure: unknown user name or bad password.",
        ..pop3(EXCHANGE_POP3)
    },
    Row {
        begins: "-err logon failure",
        sample: "-ERR Logon failure: unknown user name or bad password.",
        ..pop3(EXCHANGE_POP3)
    },
    Row {
        stage: Stage::Either,
        begins: "-err protocol error",
        holds: &["connection is closed. 10"],
        sample: "-ERR Protocol error. Connection is closed. 10",
        ..pop3(Diagnosis::new(
            "the server could not read a line, as where a token stands on one line with AUTH",
            "look for what changes lines between mailbearer and the server: mailbearer sends the \
             token on a line of its own",
        ))
    },
    Row {
        begins: "-err [sys/perm]",
        holds: &["not enabled for pop access"],
        sample: "-ERR [SYS/PERM] Your account is not enabled for POP access. Please visit your \
                 Gmail settings page and enable your account for POP access.",
        ..pop3(Diagnosis::new(
            "POP is off in the settings of the mailbox",
            "switch POP on in Gmail's settings, Forwarding and POP/IMAP, or for everybody in the \
             Admin console",
        ))
    },
    Row {
        begins: "-err [auth]",
        holds: &["username and password not accepted"],
        sample: "-ERR [AUTH] Username and password not accepted.",
        ..pop3(GMAIL)
    },
];

const fn smtp(diagnosis: Diagnosis) -> Row {
    Row::new(Stage::SignIn, Protocol::Submission, diagnosis)
}

const fn imap(diagnosis: Diagnosis) -> Row {
    Row::new(Stage::SignIn, Protocol::Imap, diagnosis)
}

const fn pop3(diagnosis: Diagnosis) -> Row {
    Row::new(Stage::SignIn, Protocol::Pop3, diagnosis)
}

const SESSIONS: Diagnosis = Diagnosis {
    limit: Limit::Sessions,
    ..Diagnosis::new(
        "more sessions send from this mailbox at once than Exchange allows, which is 3",
        "let nothing but mailbearer send from this mailbox, and set the provider's \
         `concurrent_sessions` no higher",
    )
    .mended_by(Remedy::Time)
};

const AWAY: Diagnosis = Diagnosis::new(
    "the provider has a fault or is busy",
    "nothing: the client tries again; where it lasts, look at the provider's status page",
)
.mended_by(Remedy::Time);

const EXCHANGE_POP3: Diagnosis = Diagnosis::new(
    "POP3 is off for the mailbox, or the token is for another user than `mailbox`",
    "run Set-CASMailbox MAILBOX -PopEnabled $true, and check `mailbox`; for an application \
     POP.AccessAsApp and Add-MailboxPermission",
)
.mended_by(Remedy::Token);

const GMAIL: Diagnosis = Diagnosis::new(
    "the token is for another user than `mailbox`, or lacks the scope for mail",
    "check `mailbox`, and that https://mail.google.com/ was granted",
)
.mended_by(Remedy::Token);
