//! `usher completions` and `usher man`: what a shell and the readers of manual pages want to know of the command line, made
//! of the command line itself.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap_complete::Shell;
use clap_mangen::Man;

use super::Failure;

/// What the page of the whole program says beside that which the command line knows of itself.
const SECTIONS: &[u8] = include_bytes!("manual.roff");

/// What `usher completions` is told.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell that completes
    shell: Shell,
}

/// What `usher man` is told.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Write a page for every command into this directory, instead of the first one to standard output
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

/// Why the pages are not written: the operator's directory, or its disk.
#[derive(Debug, thiserror::Error)]
#[error("the pages cannot be written into {0}")]
struct Unwritten(String, #[source] io::Error);

/// Prints the script by which a shell completes the arguments of `command`.
///
/// # Errors
/// The output cannot be written: nobody's fault but the reader's, who went away.
pub fn completions(args: &CompletionsArgs, command: &mut clap::Command, out: &mut dyn Write) -> io::Result<()> {
    let name = command.get_name().to_owned();
    // The generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, name, &mut script);
    out.write_all(&script)
}

/// Prints the manual page of `command`, or writes those of all its commands, in roff.
///
/// # Errors
/// The directory or the output cannot be written.
pub fn manual(args: &ManArgs, command: clap::Command, out: &mut dyn Write) -> Result<(), Failure> {
    let mut command = command.disable_help_subcommand(true);
    let Some(directory) = &args.directory else { return Ok(write_first(&page(command), out)?) };
    command.build();
    write_all(&command, directory).map_err(|error| Failure::world(Unwritten(directory.display().to_string(), error)))
}

/// The page of a command, whose footer names the program and not the command alone.
fn page(command: clap::Command) -> Man {
    Man::new(command).source(concat!("usher ", env!("CARGO_PKG_VERSION"))).manual("Usher")
}

/// Writes the page of the whole program: with what is true of all commands, between what is known of each and the version.
fn write_first(page: &Man, out: &mut dyn Write) -> io::Result<()> {
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    page.render_subcommands_section(out)?;
    out.write_all(SECTIONS)?;
    page.render_version_section(out)
}

fn write_all(program: &clap::Command, directory: &Path) -> io::Result<()> {
    let page = page(program.clone());
    write_first(&page, &mut File::create(directory.join(page.get_filename()))?)?;
    program.get_subcommands().try_for_each(|command| write_below(command, directory))
}

fn write_below(command: &clap::Command, directory: &Path) -> io::Result<()> {
    page(command.clone()).generate_to(directory)?;
    command.get_subcommands().try_for_each(|command| write_below(command, directory))
}
