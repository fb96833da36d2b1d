//! `usher import`: turns the configuration of another gateway into one of ours, and says what it could not carry over.
//!
//! What is made opens no more than the original did, but for what the guide names: where the two cannot say the same, it is the
//! stricter one that is written, or nothing at all, and a note tells which option it was and what to do. No secret is read into the output or into
//! a note: the configuration names a file, and a note says what belongs there. Nothing is dialled and nothing is served.

mod notes;
mod oauth2_proxy;
mod options;
mod yaml;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Failure;
use notes::Notes;
use options::{Options, ReadError};

/// What `usher import` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, clap::Subcommand)]
enum From {
    /// From oauth2-proxy: its configuration file, or a file with its environment or its flags
    #[command(name = "oauth2-proxy")]
    Oauth2Proxy(Oauth2ProxyArgs),
}

#[derive(Debug, clap::Args)]
struct Oauth2ProxyArgs {
    /// The file of `--config`; or `OAUTH2_PROXY_…=…` or `--…=…` on lines of their own
    file: PathBuf,
    /// Write the configuration here and not to standard output; the file must not be there yet
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The host that people see, where `redirect_url` does not say it
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
}

/// Why there is no configuration. The operator's to put right.
#[derive(Debug, thiserror::Error)]
enum ImportError {
    /// The file of the other gateway.
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// What it says is none of the forms.
    #[error("{}", .0.display())]
    Understand(PathBuf, #[source] ReadError),
    /// There is no way from it to ours.
    #[error("{}", .0.display())]
    Convert(PathBuf, #[source] oauth2_proxy::NoWay),
    /// The output.
    #[error("cannot write {}: it must not be there yet", .0.display())]
    Write(PathBuf, #[source] io::Error),
}

/// Writes the configuration to `out` or to a file, and to `told` what was not carried over.
///
/// # Errors
///
/// The file cannot be read or understood, or nothing of ours would do what it says (78); the output cannot be written.
pub fn run(args: &Args, out: &mut dyn Write, told: &mut dyn Write) -> Result<(), Failure> {
    let From::Oauth2Proxy(args) = &args.from;
    let file = &args.file;
    let text =
        fs::read_to_string(file).map_err(|error| Failure::configuration(ImportError::Read(file.clone(), error)))?;
    let options =
        Options::read(&text).map_err(|error| Failure::configuration(ImportError::Understand(file.clone(), error)))?;
    let (configuration, notes) = oauth2_proxy::convert(options, args.host.as_deref(), &emails)
        .map_err(|error| Failure::configuration(ImportError::Convert(file.clone(), error)))?;
    let text = whole(file, &configuration, &notes);
    match &args.output {
        Some(path) => create(path, &text).map_err(|error| Failure::world(ImportError::Write(path.clone(), error)))?,
        None => out.write_all(text.as_bytes())?,
    }
    told.write_all(notes.told().as_bytes())?;
    Ok(())
}

/// The configuration with its head, and with the notes at its end, where they are found again.
fn whole(file: &Path, configuration: &str, notes: &Notes) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let mut text =
        format!("# Made by `usher import` of {name}. What could not be carried over is told at the end.\n\n");
    text.push_str(configuration);
    for line in notes.told().lines() {
        text.push_str(if line.is_empty() { "\n#" } else { "\n# " });
        text.push_str(line);
    }
    text.push('\n');
    text
}

fn create(path: &Path, text: &str) -> io::Result<()> {
    fs::File::create_new(path)?.write_all(text.as_bytes())
}

/// The addresses of a file with one on each line.
fn emails(path: &str) -> io::Result<Vec<String>> {
    let text = fs::read_to_string(path)?;
    let addresses = text.lines().map(str::trim).filter(|line| line.contains('@') && !line.starts_with('#'));
    Ok(addresses.map(str::to_owned).collect())
}
