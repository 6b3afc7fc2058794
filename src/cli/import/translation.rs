//! The whole of a file, translated: servers to listeners, accounts to accounts, and the providers
//! that both are of. What `check` would refuse is set aside, so that the rest can be used.

use std::collections::HashSet;
use std::path::Path;

use zeroize::Zeroizing;

use super::accounts::{self, Account, GLOBALS, Grant};
use super::document::{Table, render};
use super::ini::{Ini, Section, shown};
use super::notes::Notes;
use super::providers::{Providers, mail_host};
use super::servers::Server;
use crate::config::{Config, Problem, Secrets};
use crate::names::AccountPattern;

/// Sections that hold documentation alone.
const DOCUMENTATION: [&str; 4] = [
    "Email OAuth 2.0 Proxy configuration file",
    "Server setup",
    "Account setup",
    "Advanced proxy configuration",
];

/// The options that are not of an account, and what becomes of each that is on.
const GLOBAL_OPTIONS: [(&str, &str); 5] = [
    (
        "delete_account_token_on_password_error",
        "`delete_account_token_on_password_error` has no counterpart: a wrong local password \
         deletes no consent.",
    ),
    (
        "encrypt_client_secret_on_first_use",
        "`encrypt_client_secret_on_first_use` has no counterpart: keep a secret out of the file by \
         { env = \"NAME\" }, { file = \"PATH\" } or { command = [\"PROGRAM\"] }.",
    ),
    ("use_login_password_as_client_credentials_secret", ""),
    ("allow_catch_all_accounts", ""),
    ("documentation", ""),
];

/// What is made of a file.
pub(super) struct Translation {
    /// The file to write.
    pub(super) text: Zeroizing<String>,
    /// What has to be told, each with a line of the file that was read.
    pub(super) notes: Vec<String>,
    /// What is to be done before it serves.
    pub(super) steps: Vec<String>,
    /// The tables that are set aside, and why.
    pub(super) set_aside: Vec<String>,
    /// What `check` still refuses: nothing, unless there is nothing to serve.
    pub(super) problems: Vec<Problem>,
}

/// Translates `ini`. Its paths are relative to `base`; the result will lie in `directory`.
pub(super) fn translate(ini: &Ini, base: &Path, directory: &Path) -> Translation {
    let mut notes = Notes::default();
    tell_of_globals(ini, &mut notes);
    let mut providers = Providers::default();
    let accounts = accounts::read_all(ini, base, &mut providers, &mut notes);
    let servers: Vec<Server> =
        ini.sections().filter_map(|section| Server::read(section, base, &mut notes)).collect();
    let listeners = listeners(servers, &mut providers, &accounts);
    let mut tables = listeners;
    tables.extend(providers.tables());
    let first_account = tables.len();
    let mut people = Vec::new();
    for Account { section, name, grant, table, .. } in accounts {
        people.push(Person { section, name, grant });
        tables.push(table);
    }

    let mut problems;
    // Each round sets one table aside at least.
    loop {
        let of_accounts = people.iter().zip(tables.iter().skip(first_account));
        let live: HashSet<&str> = of_accounts
            .filter(|(_, table)| table.set_aside.is_none())
            .map(|(person, _)| person.name.as_str())
            // A name that is none is refused wherever it stands, its listeners' accounts included.
            .filter(|name| AccountPattern::parse(name).is_ok())
            .collect();
        restrict(&mut tables, &live);
        problems = check(&tables, directory);
        if !set_aside(&mut tables, &problems) {
            break;
        }
    }
    let (others, of_people) = tables.split_at_mut(first_account);
    let [served, set_aside] = [Live::Yes, Live::No].map(|live| Served::by(others, live));
    let steps = steps(&people, of_people, &served, &set_aside, &mut notes);
    let (text, _) = render(&head(&steps), &tables);
    let told = |table: &Table| Some(format!("[{}]: {}", table.heading, table.set_aside.as_ref()?));
    let set_aside = tables.iter().filter_map(told).collect();
    Translation { text, notes: notes.into_lines(), steps, set_aside, problems }
}

/// An account, as far as it is not in its table.
struct Person<'i> {
    section: &'i Section,
    name: String,
    grant: Grant,
}

/// Tells of the options that are of no account, and of sections that nobody reads.
fn tell_of_globals(ini: &Ini, notes: &mut Notes) {
    for section in ini.sections() {
        let name = section.name.as_str();
        if name.contains('@') || DOCUMENTATION.contains(&name) {
            continue;
        }
        let mut notes = notes.of(section);
        if name != GLOBALS {
            if !super::servers::is_server(name) {
                let said = "is neither a server nor an account, and was left out.";
                notes.tell(section.line, said);
            }
            continue;
        }
        for (key, line) in section.keys() {
            match GLOBAL_OPTIONS.iter().find(|(known, _)| *known == key) {
                Some(_) if *key != *"documentation" && section.flag(key).is_err() => {
                    let said = "is neither yes nor no, and was taken as no.";
                    notes.tell(line, &format!("`{key}` {said}"));
                }
                Some((_, said)) if !said.is_empty() && section.flag(key) == Ok(Some(true)) => {
                    notes.tell(line, said);
                }
                Some(_) => {}
                None => {
                    let said = format!("`{}` is no option that is known: left out.", shown(key));
                    notes.tell(line, &said);
                }
            }
        }
    }
}

/// The listeners. Each serves the accounts of the providers that its server is of; one whose server
/// is not its provider's first names it as its own upstream.
fn listeners(
    servers: Vec<Server>,
    providers: &mut Providers,
    accounts: &[Account<'_>],
) -> Vec<Table> {
    let listener = |server: Server| {
        let of = providers.of_server(&server);
        let mut is_first = true;
        // A server that is set aside is nobody's: it would be refused as its provider's, too.
        for at in of.iter().filter(|_| server.table.set_aside.is_none()) {
            is_first &= providers.take(*at, &server);
        }
        let Server { upstream, mut table, .. } = server;
        let names = accounts.iter().filter(|account| of.contains(&account.provider));
        let names: Vec<String> = names.map(|account| account.name.clone()).collect();
        if !is_first {
            table.set("upstream", mail_host(&upstream));
        }
        if names.is_empty() {
            let why = format!("no account of the file is of the provider of {}", upstream.host);
            table.set_aside.get_or_insert(why);
        }
        if !is_first || providers.len() > 1 {
            table.accounts = Some(names);
        }
        table
    };
    servers.into_iter().map(listener).collect()
}

/// What `check` refuses of the file that is made of `tables`.
fn check(tables: &[Table], directory: &Path) -> Vec<Problem> {
    let (text, _) = render(&[], tables);
    let env = |name: &str| std::env::var(name);
    Config::parse(&text, directory, &env, Secrets::Verify).err().unwrap_or_default()
}

/// Sets the tables aside that `problems` are of. Whether there were any.
fn set_aside(tables: &mut [Table], problems: &[Problem]) -> bool {
    let (_, begins) = render(&[], tables);
    let mut any = false;
    for (nth, table) in tables.iter_mut().enumerate() {
        let begin = begins.get(nth).copied().unwrap_or(usize::MAX);
        let end = begins.get(nth + 1).copied().unwrap_or(usize::MAX);
        // What the whole file lacks is told of its first line, and is no table's.
        let keys = problems.iter().filter_map(|problem| Some((problem, problem.key.as_deref()?)));
        let mut keys = keys.filter(|(problem, _)| (begin..end).contains(&problem.line));
        if let Some((problem, key)) = keys.next().filter(|_| table.set_aside.is_none()) {
            table.set_aside = Some(format!("`{key}` {}; {}", problem.message, problem.help));
            any = true;
        }
    }
    any
}

/// Takes out of the listeners the accounts that are not `live`.
fn restrict(tables: &mut [Table], live: &HashSet<&str>) {
    for table in tables {
        let Some(accounts) = &mut table.accounts else { continue };
        if accounts.iter().any(|name| !live.contains(name.as_str())) {
            accounts.retain(|name| live.contains(name.as_str()));
            if accounts.is_empty() {
                table.set_aside.get_or_insert("its accounts are set aside".to_owned());
            }
        }
    }
}

/// Whether a table can be used, or is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Live {
    Yes,
    No,
}

/// The accounts that a listener serves.
enum Served {
    All,
    These(HashSet<String>),
}

impl Served {
    /// Those that the listeners among `tables` serve which are `live`, or not.
    fn by(tables: &[Table], live: Live) -> Self {
        let mut served = HashSet::new();
        let is_listener = |table: &&Table| {
            table.set_aside.is_none() == (live == Live::Yes)
                && table.heading.starts_with("listeners.")
        };
        for table in tables.iter().filter(is_listener) {
            match &table.accounts {
                Some(accounts) => served.extend(accounts.iter().cloned()),
                None => return Self::All,
            }
        }
        Self::These(served)
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.contains(name),
        }
    }
}

/// What is to be typed before it serves; those that nobody reaches are told instead.
fn steps(
    people: &[Person<'_>],
    tables: &mut [Table],
    served: &Served,
    set_aside: &Served,
    notes: &mut Notes,
) -> Vec<String> {
    let mut steps = Vec::new();
    for (person, table) in people.iter().zip(tables) {
        if table.set_aside.is_some() || person.name.contains(char::is_control) {
            continue;
        }
        if !served.has(&person.name) {
            let said = if set_aside.has(&person.name) {
                "Its listeners are set aside, so nobody reaches it: do what is said above one of \
                 them, or take it out."
            } else {
                "No server of the file leads to its provider, so nobody reaches it: write a \
                 listener for it, or take it out."
            };
            notes.of(person.section).add(table, said);
            continue;
        }
        if let Some(domain) = person.name.strip_prefix("*@") {
            steps.push(format!("mailbearer password ADDRESS    # for each ADDRESS at {domain}"));
            continue;
        }
        let name = crate::store::shell_word(&person.name);
        if person.grant.is_consent() {
            steps.push(format!("mailbearer authorize {name}"));
        }
        steps.push(format!("mailbearer password {name}"));
    }
    steps
}

/// What stands at the beginning of the file.
fn head(steps: &[String]) -> Vec<String> {
    let mut head = vec![
        "Made by `mailbearer import emailproxy`. Tables that are set aside are comments; take #: \
         away once what is said above them is done. `mailbearer check` looks the file over."
            .to_owned(),
        String::new(),
    ];
    if !steps.is_empty() {
        head.push("Before it serves:".to_owned());
        head.push(String::new());
        head.extend(steps.iter().map(|step| format!("    {step}")));
        head.push(String::new());
        head.push(
            "`password` makes what the mail program shows from now on. To keep what it shows \
             today, type that into `mailbearer password --hash`, and write what comes out as \
             local_password = \"$argon2id$...\" in the account."
                .to_owned(),
        );
    }
    head
}
