//! `usher completions` and `usher man`: what a shell and the readers of manual pages want to know of the command line, made
//! of the command line itself.

use std::io::{self, Write};
use std::path::PathBuf;

use clap_complete::Shell;

use super::Failure;

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
    match &args.directory {
        Some(directory) => clap_mangen::generate_to(command, directory)
            .map_err(|error| Failure::world(Unwritten(directory.display().to_string(), error))),
        None => Ok(clap_mangen::Man::new(command.disable_help_subcommand(true)).render(out)?),
    }
}
