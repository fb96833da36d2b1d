//! The `usher` binary: parse the arguments, run a command, choose the exit code.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use usher::clock::Clock;
use usher::commands::{Failure, check, demo, diff, explain, health, import, schema, serve, session, shell, user};

/// Gives memory of closed and idle connections back to the system, and costs less than the system's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A reverse-proxy authentication gateway that keeps people signed in to applications that cannot change.
#[derive(Debug, Parser)]
#[command(name = "usher", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    Serve(serve::Args),
    /// Run the whole product on this machine, with a sample application behind it
    Demo(demo::Args),
    /// Validate a configuration and print its routes in winning order
    Check(check::Args),
    /// Say what another configuration would change, and which requests of a log it would decide otherwise
    Diff(diff::Args),
    /// Say why a request would be let in or refused, step by step
    Explain(Box<explain::Args>),
    /// Keep the users file of a local issuer
    User(user::Args),
    /// List and end the sessions that instances share
    Session(session::Args),
    /// Turn the configuration of another gateway into one of Usher's
    Import(import::Args),
    /// Print the JSON Schema of the configuration
    Schema,
    /// Ask a running gateway whether it is ready
    Health(health::Args),
    /// Print a script by which a shell completes commands and options
    Completions(shell::CompletionsArgs),
    /// Print the manual page, or write the pages of all commands
    Man(shell::ManArgs),
}

fn main() -> ExitCode {
    match run(&Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            anstream::eprint!("{}", failure.report());
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => block_on(serve::run(args)),
        Command::Demo(args) => block_on(async { demo::run(args, Clock::system()).await.map_err(Failure::world) }),
        Command::Check(args) => Ok(check::run(args, &Clock::system(), &mut anstream::stdout())?),
        Command::Explain(args) => {
            block_on(async { explain::run(args, &Clock::system(), &mut anstream::stdout()).await })
        }
        Command::Diff(args) => block_on(async { diff::run(args, &Clock::system(), &mut anstream::stdout()).await }),
        Command::User(args) => user::run(args, &mut anstream::stdout()),
        Command::Session(args) => {
            block_on(async { session::run(args, &Clock::system(), &mut anstream::stdout()).await })
        }
        Command::Import(args) => import::run(args, &mut anstream::stdout(), &mut anstream::stderr()),
        Command::Schema => Ok(schema::run(&mut anstream::stdout())?),
        Command::Health(args) => health::run(args),
        Command::Completions(args) => Ok(shell::completions(args, &mut Cli::command(), &mut anstream::stdout())?),
        Command::Man(args) => shell::manual(args, Cli::command(), &mut anstream::stdout()),
    }
}

fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::world)?;
    let result = runtime.block_on(command);
    // Nothing that a command has left behind is waited for.
    runtime.shutdown_background();
    result
}
