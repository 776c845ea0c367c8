//! A running `rapport serve --postgres`, and the BI tools that connect to it (`tests/postgres/`).

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::kafka_broker::print_note;
use super::program::{ProgramOutput, Project, RunningProgram, run, wait_until};

/// The user of the tests.
pub(crate) const USER: &str = "ada";

/// The door of a project for BI tools, open until this is dropped.
pub(crate) struct BiToolServer {
    pub(crate) program: RunningProgram,
    pub(crate) port: u16,
    pub(crate) password: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postgres")
}

/// Returns where the clients are installed.
pub(crate) fn clients() -> PathBuf {
    let own = std::env::var_os("RAPPORT_POSTGRES_CLIENTS").map(PathBuf::from);
    own.unwrap_or_else(|| folder().join("env"))
}

/// Returns whether the clients can be run. If not, it prints what to install; with `CI=true` it fails
/// the test.
pub(crate) fn has_clients() -> bool {
    let check = Command::new(folder().join("setup")).arg("check").output().expect("a shell");
    let missing = String::from_utf8_lossy(&check.stderr).trim_end().to_owned();
    assert!(check.status.success() || std::env::var("CI").as_deref() != Ok("true"), "{missing}");
    if !check.status.success() {
        print_note(&format!("skipped, without clients of PostgreSQL: {missing}"));
    }
    check.status.success()
}

/// Makes a database user. Returns the entry for `access.toml` and the password.
pub(crate) fn new_database_user(project: &Project, user: &str) -> (String, String) {
    let made = project.run(&["serve", "--new-database-user", user, "--name", "Ada Okafor"]);
    let made = made.expect_success();
    let password = made.stderr.split_whitespace().find(|word| word.starts_with("rapport_"));
    (made.stdout_text(), password.expect("a password").to_owned())
}

fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    free.local_addr().expect("an address").port()
}

impl BiToolServer {
    /// Makes the user and starts the server at free ports.
    pub(crate) fn start(project: &Project) -> Self {
        let (entry, password) = new_database_user(project, USER);
        project.write("access.toml", entry);
        let (pages, port) = (free_port(), free_port());
        let arguments = ["serve", "--listen", &pages.to_string(), "--postgres", &port.to_string()];
        let command = project.command(&arguments);
        let mut program = RunningProgram::start_logging(command, &project.path("serve.log"));
        wait_until("the door for BI tools", Duration::from_secs(180), || {
            assert!(!program.has_ended(), "{}", program.messages_so_far());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self { program, port, password }
    }

    /// Returns a command of psql, with more parameters of the connection.
    pub(crate) fn psql(&self, parameters: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("psql");
        let given = format!(
            "host=127.0.0.1 port={} user={USER} dbname=rapport connect_timeout=60 {parameters}",
            self.port
        );
        command.args(["-X", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-d", &given]);
        command.args(arguments).env("PGPASSWORD", &self.password).env_remove("PGSSLMODE");
        command
    }

    /// Asks with psql.
    pub(crate) fn ask(&self, arguments: &[&str]) -> ProgramOutput {
        run(self.psql("", arguments))
    }

    /// Asks with psql, which must succeed, and returns what it prints.
    #[track_caller]
    pub(crate) fn ask_ok(&self, arguments: &[&str]) -> String {
        self.ask(arguments).expect_success().stdout_text()
    }

    /// Lets a client do what nobody may (`tests/postgres/hostile.py`). Returns what came of it.
    #[track_caller]
    pub(crate) fn attack(&self, kind: &str, folder: &Path) -> Value {
        let mut command = Command::new(clients().join("bin/python"));
        command.arg(self::folder().join("hostile.py")).arg(kind).arg(self.port.to_string());
        command.args([USER, &self.password]).arg(folder).stdin(Stdio::null());
        let found = run(command).expect_success().stdout_text();
        serde_json::from_str(found.trim()).expect("JSON")
    }

    /// Lets another client look around. Returns what it found.
    #[track_caller]
    pub(crate) fn look_around(&self, client: &str) -> Value {
        let mut command = Command::new(clients().join("bin/python"));
        command.arg(folder().join("clients.py")).arg(client).arg(self.port.to_string());
        command.args([USER, &self.password]).arg(clients().join("jars")).stdin(Stdio::null());
        let found = run(command).expect_success().stdout_text();
        serde_json::from_str(found.trim()).expect("JSON")
    }
}
