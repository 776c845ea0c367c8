//! The file channel: one line of JSON for each delivery, on the disk before it is acknowledged.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::Deserialize;

use super::message::message;
use super::{Channel, Delivery, DeliveryError, Idempotency, Receipt};

/// Appends deliveries to a file.
pub(crate) struct JsonLines {
    name: String,
    file: Arc<Mutex<PathBuf>>,
}

impl JsonLines {
    pub(crate) fn new(name: &str, path: PathBuf) -> Self {
        Self { name: name.to_owned(), file: Arc::new(Mutex::new(path)) }
    }

    /// Runs a task on the file on a thread that may block. One task at a time has the file.
    async fn with_file<T: Send + 'static>(
        &self,
        task: impl FnOnce(&Path) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, DeliveryError> {
        let (file, name) = (Arc::clone(&self.file), self.name.clone());
        let done = tokio::task::spawn_blocking(move || {
            let path = file.lock().unwrap_or_else(PoisonError::into_inner);
            task(&path).map_err(|e| failure(&name, &path, &e))
        });
        done.await.unwrap_or_else(|_| {
            Err(DeliveryError::Ambiguous(format!(
                "channel \"{}\": the write was stopped half-way",
                self.name
            )))
        })
    }
}

#[async_trait]
impl Channel for JsonLines {
    fn name(&self) -> &str {
        &self.name
    }

    fn idempotency(&self) -> Idempotency {
        Idempotency::SearchFirst
    }

    async fn find(&self, delivery: &Delivery) -> Result<Option<Receipt>, DeliveryError> {
        let key = delivery.key.clone();
        self.with_file(move |path| Ok(find_line(path, &key)?.map(receipt))).await
    }

    /// Appends the delivery unless the file has its key.
    async fn send(&self, delivery: &Delivery) -> Result<Receipt, DeliveryError> {
        let (key, line) = (delivery.key.clone(), message(delivery)?);
        let write = move |path: &Path| {
            let number = match find_line(path, &key)? {
                Some(number) => number,
                None => append(path, &line)?,
            };
            Ok(receipt(number))
        };
        self.with_file(write).await
    }
}

/// The key of a line; the rest of it does not matter.
#[derive(Deserialize)]
struct LineKey {
    key: String,
}

fn receipt(number: u64) -> Receipt {
    Receipt { answer: format!("line {number}"), in_force: None }
}

/// Returns the number of the line with a key, from 1. A line that is no JSON is passed over: it is
/// what a crash left of a delivery that was not acknowledged.
fn find_line(path: &Path, key: &str) -> std::io::Result<Option<u64>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let mut number = 0;
    while reader.read_until(b'\n', &mut line)? > 0 {
        number += 1;
        // A last line without its newline was not acknowledged, even if it is whole.
        let is_whole = line.ends_with(b"\n");
        let found = serde_json::from_slice::<LineKey>(&line).is_ok_and(|found| found.key == key);
        if is_whole && found {
            return Ok(Some(number));
        }
        line.clear();
    }
    Ok(None)
}

/// Appends a line, waits until it is on the disk, and returns its number. A half-written last line
/// is ended by a newline first.
fn append(path: &Path, line: &str) -> std::io::Result<u64> {
    let is_new = !path.exists();
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let mut text = String::new();
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            text.push('\n');
        }
    }
    text.push_str(line);
    text.push('\n');
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    if is_new {
        // The name of a new file is on the disk only when its folder is.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    file.seek(SeekFrom::Start(0))?;
    let lines = BufReader::new(file).split(b'\n').count();
    Ok(lines as u64)
}

fn failure(channel: &str, path: &Path, error: &std::io::Error) -> DeliveryError {
    let message = format!("channel \"{channel}\": {} can't be written: {error}", path.display());
    DeliveryError::Retryable { message, after_seconds: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::tests::delivery;

    #[tokio::test]
    async fn a_delivery_is_one_line_however_often_it_is_sent() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("actions.jsonl");
        let channel = JsonLines::new("audit", path.clone());
        let first = delivery();
        assert_eq!(channel.find(&first).await, Ok(None));
        let receipt = channel.send(&first).await.expect("written");
        assert_eq!(receipt.answer, "line 1");
        assert_eq!(channel.find(&first).await, Ok(Some(receipt.clone())));
        assert_eq!(channel.send(&first).await, Ok(receipt));
        let second = Delivery { key: "key-2".to_owned(), ..first };
        assert_eq!(channel.send(&second).await.expect("written").answer, "line 2");
        let text = std::fs::read_to_string(&path).expect("the file");
        assert_eq!(text.lines().count(), 2);
    }

    #[tokio::test]
    async fn a_line_that_a_crash_cut_short_is_ended_and_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("actions.jsonl");
        let channel = JsonLines::new("audit", path.clone());
        let delivery = delivery();
        let line = message(&delivery).expect("JSON");
        // A line without a newline is not acknowledged, whether it is whole or not.
        for cut in [line.len() / 2, line.len()] {
            std::fs::write(&path, &line[..cut]).expect("written");
            assert_eq!(channel.find(&delivery).await, Ok(None));
            assert_eq!(channel.send(&delivery).await.expect("written").answer, "line 2");
            let text = std::fs::read_to_string(&path).expect("the file");
            assert_eq!(text, format!("{}\n{line}\n", &line[..cut]));
        }
    }

    #[tokio::test]
    async fn a_folder_that_is_missing_is_said_and_tried_again() {
        let channel = JsonLines::new("audit", "/no/such/folder/actions.jsonl".into());
        let error = channel.send(&delivery()).await.expect_err("no folder");
        assert!(matches!(&error, DeliveryError::Retryable { .. }), "{error:?}");
        assert!(error.to_string().contains("/no/such/folder/actions.jsonl can't be written"));
    }
}
