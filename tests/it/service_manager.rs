//! What a service manager is told and gives: notifications, and sockets that outlive the process. And what packages take
//! from the command line: completions and manual pages.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::harness::child::Usher;
use crate::harness::gateway::complete;
use crate::harness::left_out::left_out;
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::wait::PATIENCE;
use crate::harness::{Client, Protocol, Upstream, get};

fn configuration(keys: &str, upstream: &Upstream, directory: &TempDir) -> String {
    let issuers = ISSUERS.replace("$ISSUER", "http://127.0.0.1:9").replace("$CLIENT_SECRET", "a secret of the client");
    complete(&format!("{keys}{issuers}{SESSION}{SITES}").replace("$UPSTREAM", &upstream.url()), directory)
}

/// The next notification but signs of life, on a thread that may wait.
async fn told(socket: &UnixDatagram) -> String {
    loop {
        let word = any_word(socket).await;
        if word != "WATCHDOG=1" {
            return word;
        }
    }
}

async fn any_word(socket: &UnixDatagram) -> String {
    let socket = socket.try_clone().unwrap();
    let receive = move || {
        let mut word = [0; 512];
        let length = socket.recv(&mut word).expect("a notification comes in time");
        String::from_utf8_lossy(&word[..length]).trim_end().to_owned()
    };
    tokio::task::spawn_blocking(receive).await.unwrap()
}

#[tokio::test]
async fn the_service_manager_is_told_of_the_start_of_reloads_of_life_and_of_the_end() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let setup = "export NOTIFY_SOCKET=\"$PWD/notify\" WATCHDOG_USEC=15000000 WATCHDOG_PID=$$";
    let yaml = configuration("shutdown: { delay: 0s, deadline: 5s }\n", &upstream, &directory);
    let mut usher = Usher::serve_after(setup, &yaml, directory.path());

    assert_eq!(told(&socket).await, "READY=1\nSTATUS=serving");
    let address = usher.address("https").await;
    Client { address, protocol: Protocol::Http1 }.send(get("https://app.test/public/")).await.assert_status(200);
    while any_word(&socket).await != "WATCHDOG=1" {}

    // Whatever comes of a reload, its end is told: here, a configuration that cannot be used.
    for yaml in [yaml.clone(), "listen: nonsense\n".to_owned()] {
        std::fs::write(directory.path().join("usher.yaml"), yaml).unwrap();
        usher.signal("HUP").await;
        let reloading = told(&socket).await;
        assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
        assert_eq!(told(&socket).await, "READY=1\nSTATUS=serving");
    }

    usher.signal("TERM").await;
    let mut word = told(&socket).await;
    // The file was seen to have changed as well, perhaps.
    while !word.starts_with("STOPPING=1") {
        word = told(&socket).await;
    }
    assert!(usher.exit().await.success());
}

#[tokio::test]
async fn nobody_is_refused_during_a_restart_on_a_socket_of_the_service_manager() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let keys = format!("listen: {{ https: '{address}' }}\nshutdown: {{ delay: 0s, deadline: 5s }}\n");
    let yaml = configuration(&keys, &upstream, &directory);
    let client = Client { address, protocol: Protocol::Http1 };

    let mut first = Usher::serve_on(&socket, &yaml, directory.path());
    client.send(get("https://app.test/public/")).await.assert_status(200);
    first.signal("TERM").await;
    assert!(first.exit().await.success());

    // Nobody accepts, and nobody refuses.
    let asked = tokio::spawn(async move { client.send(get("https://app.test/public/")).await });
    while tokio::net::TcpStream::connect(address).await.is_err() {}
    assert!(!asked.is_finished());
    let _second = Usher::serve_on(&socket, &yaml, directory.path());
    tokio::time::timeout(PATIENCE, asked).await.unwrap().unwrap().assert_status(200);
}

#[tokio::test]
async fn a_socket_that_the_configuration_does_not_name_is_a_mistake_of_the_operators() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut usher = Usher::serve_on(&socket, &configuration("", &upstream, &directory), directory.path());
    assert_eq!(usher.exit().await.code(), Some(78));
    usher.says(&socket.local_addr().unwrap().to_string()).await;
    usher.says("no key under listen names").await;
}

/// Runs a program to its end; `None` where there is no such program.
fn run(program: &str, arguments: &[&str], directory: &Path) -> Option<Output> {
    let output = Command::new(program).args(arguments).current_dir(directory).output();
    output.ok()
}

#[test]
fn the_units_of_the_example_are_units_and_leave_the_service_little() {
    let directory = tempfile::tempdir().unwrap();
    for unit in ["usher.service", "usher.socket"] {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/systemd").join(unit);
        let unit_text = std::fs::read_to_string(example).unwrap();
        // The rest of the unit is checked as it is; the program must be there.
        std::fs::write(directory.path().join(unit), unit_text.replace("/usr/bin/usher", env!("CARGO_BIN_EXE_usher")))
            .unwrap();
    }
    let verify = ["verify", "--man=no", "./usher.service", "./usher.socket"];
    let Some(verdict) = run("systemd-analyze", &verify, directory.path()) else {
        return left_out("the check of the systemd units, for there is no systemd-analyze");
    };
    let said = String::from_utf8_lossy(&verdict.stderr);
    assert!(verdict.status.success() && said.trim().is_empty(), "{said}");
    // Of 100, in tenths of what systemd calls the exposure level.
    let security = ["security", "--offline=true", "--threshold=20", "--no-pager", "./usher.service"];
    let verdict = run("systemd-analyze", &security, directory.path()).unwrap();
    assert!(verdict.status.success(), "{}", String::from_utf8_lossy(&verdict.stdout));
}

/// One that is not among them keeps Usher from starting.
#[test]
fn the_addresses_of_the_socket_unit_are_those_of_the_configuration_beside_it() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/systemd");
    let read = |name: &str| std::fs::read_to_string(example.join(name)).unwrap();
    let configuration: serde_json::Value = serde_saphyr::from_str(&read("usher.yaml")).unwrap();
    let listen = ["https", "http"].map(|key| configuration["listen"][key].as_str().unwrap().to_owned());
    let unit = read("usher.socket");
    assert_eq!(unit.lines().filter_map(|line| line.strip_prefix("ListenStream=")).collect::<Vec<_>>(), listen);
    // Given in the environment, a secret could not be one of several in the file, as rotation needs it.
    assert!(!read("usher.service").contains("Environment="));
}

#[test]
fn the_service_ends_where_trying_again_does_not_help_goes_on_where_it_does_and_leaves_no_tokens_on_disk() {
    let unit = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/systemd/usher.service"));
    let unit = unit.unwrap();
    let says = |line: &str| unit.lines().any(|said| said == line);
    // What `usher check` says by its exit code before the start is not looked at by RestartPreventExitStatus.
    assert!(says("RestartPreventExitStatus=78") && !unit.contains("\nExecStartPre="), "{unit}");
    assert!(says("RestartSec=1s"), "{unit}");
    // The watchdog aborts.
    assert!(says("LimitCORE=0"), "{unit}");
    let (head, _) = unit.split_once("[Service]").unwrap();
    assert!(head.lines().any(|said| said == "StartLimitIntervalSec=0"), "{unit}");
}

fn usher(arguments: &[&str]) -> String {
    let output = run(env!("CARGO_BIN_EXE_usher"), arguments, Path::new(".")).unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_shell_completes_commands_and_options() {
    let directory = tempfile::tempdir().unwrap();
    let complete = |words: &str, current: usize| {
        std::fs::write(directory.path().join("usher.bash"), usher(&["completions", "bash"])).unwrap();
        let script = format!(
            "source usher.bash; COMP_WORDS=({words}); COMP_CWORD={current}; \
             _usher usher \"${{COMP_WORDS[$COMP_CWORD]}}\" \"${{COMP_WORDS[$COMP_CWORD-1]}}\"; echo \"${{COMPREPLY[*]}}\""
        );
        let output = run("bash", &["-c", &script], directory.path()).unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete("usher ser", 1), "serve");
    assert!(complete("usher check --con", 2).contains("--config"));
    for shell in ["elvish", "fish", "powershell", "zsh"] {
        assert!(usher(&["completions", shell]).contains("usher"), "{shell}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let directory = tempfile::tempdir().unwrap();
    usher(&["man", "--directory", directory.path().to_str().unwrap()]);
    let help = usher(&["--help"]);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<&str> =
        commands.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    assert!(names.contains(&"serve"), "{help}");
    for name in names {
        let page = std::fs::read_to_string(directory.path().join(format!("usher-{name}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{page}");
    }
    for page in std::fs::read_dir(directory.path()).unwrap() {
        let page = std::fs::read_to_string(page.unwrap().path()).unwrap();
        let title = page.lines().find(|line| line.starts_with(".TH ")).unwrap();
        assert!(title.contains(concat!("\"usher ", env!("CARGO_PKG_VERSION"), "\"")), "{title}");
    }
    let first = usher(&["man"]);
    for section in ["\"EXIT STATUS\"", "SIGNALS", "ENVIRONMENT", "FILES", "EXAMPLES", "VERSION"] {
        assert_eq!(first.matches(&format!("\n.SH {section}\n")).count(), 1, "{section}: {first}");
    }
    assert_eq!(first, std::fs::read_to_string(directory.path().join("usher.1")).unwrap());
}
