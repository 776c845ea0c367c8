//! Queries of people. Each runs in a process of its own, which reads the lake only, so that one that
//! takes too long or too much memory ends alone.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use serve::{SqlAnswer, SqlValues};
use subprocess::{LimitedProcess, ProcessEnd};
use tokio::sync::Semaphore;

use super::sql_values;
use crate::errors::usage_error;

/// How long a query may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How many queries run at once. Others wait.
static RUNNING: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(2));
/// The most rows and bytes of an answer.
pub(super) const MAX_ROWS: usize = 10_000;
pub(super) const MAX_BYTES: u64 = 8 << 20;

/// Answers a query.
pub(super) async fn ask(config_file: Option<&Path>, query: &str) -> anyhow::Result<SqlAnswer> {
    let _permit = RUNNING.acquire().await?;
    let command = sql_command(config_file, "csv", query)?;
    tokio::task::spawn_blocking(|| answer(&output(command)?)).await?
}

/// Answers a query for a program. A second process tells the types of the columns, which JSON does not.
pub(super) async fn ask_values(
    config_file: Option<&Path>,
    query: &str,
) -> anyhow::Result<SqlValues> {
    let _permit = RUNNING.acquire().await?;
    let rows = sql_command(config_file, "json", query)?;
    let columns = sql_values::without_rows(query);
    let columns = columns.map(|query| sql_command(config_file, "parquet", &query)).transpose()?;
    tokio::task::spawn_blocking(|| {
        let rows = output(rows)?;
        let columns = columns.map(|columns| output(columns).and_then(sql_values::columns_of));
        sql_values::of_json(&rows, columns.transpose()?)
    })
    .await?
}

/// Returns the command that prints the rows of a query.
fn sql_command(config_file: Option<&Path>, format: &str, query: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("the path of this program")?);
    if let Some(config_file) = config_file {
        command.arg("--config").arg(config_file);
    }
    command.args(["--quiet", "sql", "--one-statement", "--format", format, "--"]).arg(query);
    Ok(command)
}

/// Returns what a process prints, up to the limit.
fn output(mut command: Command) -> anyhow::Result<Vec<u8>> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let process = LimitedProcess::spawn(&mut command, TIMEOUT);
    let mut process = process.context("the process of the query")?;
    let (rows, errors) = process.take_output();
    let (rows, errors) = (read(rows), read(errors));
    // A process with more to say than is read would wait for its reader for ever.
    let is_answered = match process.wait(|| rows.bytes.load(Ordering::Relaxed) >= MAX_BYTES)? {
        ProcessEnd::Exited(status) => status.success(),
        ProcessEnd::Enough => true,
        ProcessEnd::TimedOut => {
            return Err(usage_error(format!(
                "the query took more than {} s: ask for fewer days or partners",
                TIMEOUT.as_secs()
            )));
        }
    };
    drop(process);
    let (rows, errors) = (rows.finish(), errors.finish());
    if is_answered {
        return Ok(rows);
    }
    let errors = String::from_utf8_lossy(&errors);
    let lines: Vec<&str> =
        errors.lines().filter(|line| !line.starts_with("Incomplete: ")).collect();
    match lines.join("\n").trim_start_matches("rapport: ") {
        "" => Err(usage_error("the query took too much memory: ask for fewer days or partners")),
        why => Err(usage_error(why)),
    }
}

/// A thread that reads what a process writes, up to the limit.
struct Reader {
    bytes: Arc<AtomicU64>,
    thread: JoinHandle<Vec<u8>>,
}

impl Reader {
    fn finish(self) -> Vec<u8> {
        self.thread.join().unwrap_or_default()
    }
}

fn read(stream: Option<impl Read + Send + 'static>) -> Reader {
    let bytes = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&bytes);
    let thread = thread::spawn(move || {
        let mut read = Vec::new();
        let Some(stream) = stream else { return read };
        let mut stream = stream.take(MAX_BYTES);
        let mut part = [0; 64 << 10];
        // What was read before an error counts.
        while let Ok(n @ 1..) = stream.read(&mut part) {
            read.extend_from_slice(&part[..n]);
            count.store(read.len() as u64, Ordering::Relaxed);
        }
        read
    });
    Reader { bytes, thread }
}

/// Returns the rows of a CSV, without a last row that is cut.
fn answer(csv: &[u8]) -> anyhow::Result<SqlAnswer> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(csv);
    let names = reader.headers()?.clone();
    let columns: Vec<String> = names.iter().map(str::to_owned).collect();
    let mut answer = SqlAnswer { columns, ..SqlAnswer::default() };
    answer.is_cut = csv.len() as u64 == MAX_BYTES;
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&names)?;
    for record in reader.records() {
        let Ok(record) = record else { break };
        if answer.rows.len() == MAX_ROWS || record.len() != names.len() {
            answer.is_cut = true;
            break;
        }
        writer.write_record(&record)?;
        answer.rows.push(record.iter().map(str::to_owned).collect());
    }
    answer.csv = String::from_utf8(writer.into_inner()?)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_rows_of_the_csv() {
        let found = answer(b"a,b\n1,\"x, y\"\n2,\n").expect("an answer");
        assert_eq!(found.columns, ["a", "b"]);
        assert_eq!(found.rows, [["1", "x, y"], ["2", ""]]);
        assert!(!found.is_cut);
        assert_eq!(answer(b"").expect("an answer").rows.len(), 0);
    }
}
