//! `man`: the manual pages, one for the program and one for each command.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;

use super::{Cli, Exit, finish, tell};

/// What `man` is asked for.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write a file for each page into this directory, which is made if there is none; left out,
    /// all of them are printed.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// A manual page, in roff.
struct Page {
    /// `mailbearer-serve`.
    name: String,
    text: Vec<u8>,
}

/// Makes the pages.
pub(super) fn run(arguments: &ManArgs) -> Exit {
    let pages = match pages() {
        Ok(pages) => pages,
        Err(error) => {
            tell(format_args!("the pages cannot be made ({error})"));
            return Exit::Failed;
        }
    };
    let Some(directory) = &arguments.out else {
        let all: Vec<u8> = pages.into_iter().flat_map(|page| page.text).collect();
        return finish(String::from_utf8_lossy(&all).trim_end());
    };
    match write(directory, &pages) {
        Ok(()) => finish(format_args!("{} pages in {}", pages.len(), directory.display())),
        Err(error) => {
            tell(format_args!(
                "{directory:?} cannot be written ({error}): name a directory of yours with --out"
            ));
            Exit::Failed
        }
    }
}

fn pages() -> io::Result<Vec<Page>> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let commands: Vec<Command> = program.get_subcommands().cloned().collect();
    [program].into_iter().chain(commands).map(page).collect()
}

/// The page of a command, by the name that `man` finds it under.
fn page(command: Command) -> io::Result<Page> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let mut text = Vec::new();
    Man::new(command).title(name.to_uppercase()).render(&mut text)?;
    Ok(Page { name, text })
}

fn write(directory: &Path, pages: &[Page]) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    for Page { name, text } in pages {
        std::fs::write(directory.join(format!("{name}.1")), text)?;
    }
    Ok(())
}
