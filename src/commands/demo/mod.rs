//! `usher demo`: the whole product on this machine, with nothing to set up.
//!
//! A sample legacy application with a sign-in and token endpoint of its own (`application`, which knows nothing of
//! Usher), Usher in front of it, with users of its own or with the application's login, under a configuration as an
//! operator would write it (`configuration`), and a text that says what to try (`introduction`). The passwords are
//! published, so this is for looking at, not for keeping anything.

mod accounts;
mod application;
mod configuration;
mod directory;
mod introduction;
mod pages;
mod usher;

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use self::accounts::random_text;
use self::application::Application;
use self::configuration::{SignIn, Variables};
use self::directory::PrivateDirectory;
use self::introduction::Whereabouts;
use self::usher::Usher;
use crate::clock::Clock;

/// The name under which the server keeps its self-made certificate in the state directory.
const CERTIFICATE: &str = "self-signed.pem";

/// The name of the configuration file in the directory of the demonstration.
const CONFIGURATION: &str = "usher.yaml";

/// The name of the users file beside it.
const USERS_FILE: &str = "users.yaml";

/// What may be said to `usher demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Address and port to listen on; port 0 takes any free one. The page is always https://localhost:PORT/
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    pub listen: SocketAddr,
    /// Let people sign in with the sample application, which has a login and tokens of its own, instead of with Usher
    #[arg(long)]
    pub login_service: bool,
}

/// Why there is no demonstration.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The port is taken, or not this user's to take. The operator's business.
    #[error("cannot listen on {listen}; `usher demo --listen 127.0.0.1:0` takes any free port")]
    Listen {
        /// What was asked for.
        listen: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The temporary directory cannot be written, standard output is closed, or the like. The operator's business.
    #[error("{0}")]
    System(&'static str, #[source] io::Error),
    /// The system gives no randomness for the secrets. The operator's business.
    #[error("the system gives no randomness")]
    NoRandomness,
    /// Usher itself does not start. Ours.
    #[error("Usher does not start")]
    Usher(#[source] usher::StartError),
}

/// Runs the demonstration until the process is told to end (Ctrl-C or SIGTERM), then drains. Told a second time, it ends
/// at once.
///
/// # Errors
/// When something cannot be started; see [`DemoError`].
pub async fn run(args: &Args, clock: Clock) -> Result<(), DemoError> {
    let mut ends = Ends::listen().map_err(|error| DemoError::System("signals cannot be received", error))?;
    let demo = Demo::start(args, clock).await?;
    introduce(&demo, args).map_err(|error| DemoError::System("standard output cannot be written", error))?;
    ends.next().await;
    tokio::select! {
        () = demo.drain() => {}
        () = ends.next() => {}
    }
    Ok(())
}

fn introduce(demo: &Demo, args: &Args) -> io::Result<()> {
    let text = introduction::text(&Whereabouts {
        port: demo.usher.https().port(),
        directory: demo.directory.path(),
        certificate: CERTIFICATE,
        login_service: args.login_service,
    });
    let mut output = anstream::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// A running demonstration. The order of the fields is the order in which they go.
struct Demo {
    usher: Usher,
    application: Application,
    directory: PrivateDirectory,
}

impl Demo {
    async fn start(args: &Args, clock: Clock) -> Result<Self, DemoError> {
        ensure_free(args.listen)?;
        let secret = || random_text().ok_or(DemoError::NoRandomness);
        let (hmac_secret, session_secret) = (secret()?, secret()?);
        let directory = PrivateDirectory::create(&secret()?.chars().take(12).collect::<String>())
            .map_err(|error| DemoError::System("the temporary directory cannot be written", error))?;
        let application = Application::start(&hmac_secret, clock.clone())
            .await
            .map_err(|error| DemoError::System("the sample application cannot listen", error))?;
        let users = directory.path().join(USERS_FILE);
        let sign_in = if args.login_service {
            SignIn::LoginService { hmac_secret: &hmac_secret }
        } else {
            write(&users, &configuration::users().map_err(|_| DemoError::NoRandomness)?)?;
            SignIn::LocalIssuer { users: &users }
        };
        let yaml = configuration::yaml(&Variables {
            listen: args.listen,
            application: application.address(),
            state_directory: directory.path(),
            sign_in,
            session_secret: &session_secret,
        });
        let file = directory.path().join(CONFIGURATION);
        write(&file, &yaml)?;
        let usher = Usher::start(&file, clock).await.map_err(DemoError::Usher)?;
        Ok(Self { usher, application, directory })
    }

    async fn drain(self) {
        self.usher.drain().await;
        drop((self.application, self.directory));
    }
}

/// Writes a file for nobody else.
fn write(path: &Path, text: &str) -> Result<(), DemoError> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| DemoError::System("the configuration cannot be written", error))
}

/// Usher shares its port among its threads (`SO_REUSEPORT`), and so would a second Usher of the same user, without a
/// word, each getting some of the connections. A listener without that option finds any other.
fn ensure_free(listen: SocketAddr) -> Result<(), DemoError> {
    TcpListener::bind(listen).map(drop).map_err(|source| DemoError::Listen { listen, source })
}

/// The signals that end the demonstration.
struct Ends {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Ends {
    fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_named_with_the_way_out() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = ensure_free(taken.local_addr().unwrap()).unwrap_err();
        assert!(error.to_string().contains("--listen 127.0.0.1:0"), "{error}");
    }
}
