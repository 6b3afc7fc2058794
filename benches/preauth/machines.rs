//! One sign-in of each protocol, on both sides, by the public interface of the machines.

use bytes::Bytes;
use mailbearer::names::Username;
use mailbearer::proto::imap::{self, ImapDownstream, ImapUpstream, NonSyncLiterals};
use mailbearer::proto::pop3::{Pop3Downstream, Pop3Upstream};
use mailbearer::proto::sasl::Credentials;
use mailbearer::proto::smtp::{self, Extensions, SmtpDownstream, SmtpUpstream};
use mailbearer::proto::{
    AwaitToken as _, AwaitVerdict, Downstream, Input, Output, Privacy, Step, Upstream, UpstreamStep,
};
use mailbearer::provider::{MailHost, Mechanism, UpstreamTls};
use mailbearer::secret::AccessToken;

/// A sign-in at each side of one protocol.
pub(crate) struct Sides {
    pub(crate) protocol: &'static str,
    pub(crate) downstream: Box<dyn Fn()>,
    pub(crate) upstream: Box<dyn Fn()>,
}

/// SMTP, IMAP and POP3.
pub(crate) fn all() -> [Sides; 3] {
    [smtp(), imap(), pop3()]
}

fn smtp() -> Sides {
    let extensions = Extensions::declared(&["SIZE 157286400", "8BITMIME", "DSN", "CHUNKING"]);
    let reply = vec![Bytes::from_static(b"235 2.7.0 Authentication successful")];
    let welcome = smtp::Welcome { reply, extensions: extensions.clone() };
    Sides {
        protocol: "SMTP",
        downstream: Box::new(move || {
            let machine = SmtpDownstream::new(extensions.clone(), Privacy::Tls);
            let said = ["EHLO client\r\n", "AUTH PLAIN AGFsaWNlQGV4YW1wbGUuY29tAHNlY3JldA==\r\n"];
            downstream(machine, &said, &welcome);
        }),
        upstream: upstream(
            SmtpUpstream::new,
            &[
                "220 mail.example.com ready\r\n",
                "250-mail.example.com\r\n250-SIZE 157286400\r\n250-8BITMIME\r\n250 AUTH XOAUTH2\r\n",
                "334 \r\n",
                "235 2.7.0 Authentication successful\r\n",
            ],
        ),
    }
}

fn imap() -> Sides {
    let welcome = imap::Welcome {
        untagged: b"* CAPABILITY IMAP4rev1 IDLE\r\n".to_vec(),
        tagged: b"AUTHENTICATE completed.".to_vec(),
        source: imap::Source::Unasked,
    };
    Sides {
        protocol: "IMAP",
        downstream: Box::new(move || {
            let machine = ImapDownstream::new(NonSyncLiterals::Offered, Privacy::Tls);
            let said = ["a1 CAPABILITY\r\n", "a2 LOGIN alice@example.com secret\r\n"];
            downstream(machine, &said, &welcome);
        }),
        upstream: upstream(
            ImapUpstream::new,
            &[
                "* OK ready\r\n",
                "* CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR\r\n{tag} OK done\r\n",
                "* CAPABILITY IMAP4rev1 IDLE\r\n{tag} OK AUTHENTICATE completed.\r\n",
            ],
        ),
    }
}

fn pop3() -> Sides {
    // Its welcome has no public form but what a machine gives.
    let said = &["+OK ready\r\n", "+ \r\n", "+OK signed in\r\n"];
    let welcome = sign_in(Pop3Upstream::new(UpstreamTls::Implicit, Mechanism::Xoauth2), said);
    Sides {
        protocol: "POP3",
        downstream: Box::new(move || {
            let said = ["USER alice@example.com\r\n", "PASS secret\r\n"];
            downstream(Pop3Downstream::new(Privacy::Tls), &said, &welcome);
        }),
        upstream: upstream(Pop3Upstream::new, said),
    }
}

/// A client says its lines and is accepted.
fn downstream<M: Downstream>(
    mut machine: M,
    said: &[&str],
    welcome: &<M::Awaiting as AwaitVerdict>::Welcome,
) {
    let (mut input, mut output) = (Input::default(), Output::default());
    machine.greet(&mut output);
    output.take();
    for line in said {
        input.extend(line.as_bytes());
        match machine.receive(&mut input, &mut output) {
            Step::Read(next) => machine = next,
            Step::Verify(_, awaiting) => {
                awaiting.accept(welcome, &mut output);
                assert!(!output.take().is_empty(), "the client hears the verdict");
                return;
            }
            Step::StartTls(_) | Step::Close(_) => break,
        }
        output.take();
    }
    panic!("no claim");
}

/// A closure that signs in at a provider.
fn upstream<M: Upstream + 'static>(
    machine: fn(UpstreamTls, Mechanism) -> M,
    said: &'static [&'static str],
) -> Box<dyn Fn()> {
    Box::new(move || {
        sign_in(machine(UpstreamTls::Implicit, Mechanism::Xoauth2), said);
    })
}

/// A provider says its lines, each as an answer, and accepts with the last.
fn sign_in<M: Upstream>(mut machine: M, said: &[&str]) -> M::Welcome {
    let mailbox = Username::parse("alice@example.com").unwrap();
    let token = AccessToken::parse(&"t".repeat(1_700)).unwrap();
    let host =
        MailHost { host: "mail.example.com".to_owned(), port: 993, tls: UpstreamTls::Implicit };
    let credentials = Credentials {
        mailbox: &mailbox,
        token: &token,
        mechanism: Mechanism::Xoauth2,
        host: &host,
    };
    let (mut input, mut output) = (Input::default(), Output::default());
    let mut heard = String::new();
    for line in said {
        // IMAP's replies carry the tag of the command.
        let tag = heard.split(' ').next().unwrap_or_default();
        input.extend(line.replace("{tag}", tag).as_bytes());
        machine = match machine.receive(&mut input, &mut output) {
            UpstreamStep::Read(next) => next,
            UpstreamStep::Ready(awaiting) => awaiting.authenticate(&credentials, &mut output),
            UpstreamStep::Authenticated(welcome) => return welcome,
            UpstreamStep::StartTls(_) | UpstreamStep::Refused(_) | UpstreamStep::Close(_) => break,
        };
        heard = String::from_utf8_lossy(&output.take()).into_owned();
    }
    panic!("not signed in")
}
