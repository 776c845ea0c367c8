//! Pages as PDF and charts as PNG, by Chromium in a process of its own, where one is installed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use dashboards::ChartFile;
use moka::future::Cache;
use tokio::sync::Semaphore;

use crate::limited_process::{LimitedProcess, ProcessEnd};

/// How long Chromium may take. A start takes a second or two on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How many run at once: each takes some 200 MB of memory. Others wait.
const AT_ONCE: usize = 1;
/// The bytes of files that are kept.
const KEPT_BYTES: u64 = 32 << 20;
/// The pixels of a PNG for a px of the drawing, so that it is sharp on a slide.
const SCALE: u32 = 2;

/// Makes files by Chromium. The same content is made once.
pub struct Chromium {
    program: Option<PathBuf>,
    running: Semaphore,
    made: Cache<String, Bytes>,
}

/// Why there is no file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChromiumError {
    #[error(
        "no PDF and PNG can be made: Chromium is not installed on the server, or [serve] chromium in \
         rapport.toml names no program"
    )]
    Missing,
    #[error("Chromium did not finish in {} s", TIMEOUT.as_secs())]
    TimedOut,
    #[error("Chromium made no file: {0}")]
    Failed(String),
}

impl Chromium {
    /// Takes the program, if there is one.
    pub fn new(program: Option<PathBuf>) -> Self {
        let bytes = |_: &String, made: &Bytes| u32::try_from(made.len()).unwrap_or(u32::MAX);
        Self {
            program,
            running: Semaphore::new(AT_ONCE),
            made: Cache::builder().max_capacity(KEPT_BYTES).weigher(bytes).build(),
        }
    }

    /// Returns whether there is a Chromium.
    pub fn is_installed(&self) -> bool {
        self.program.is_some()
    }

    /// Prints a page that needs no other file.
    ///
    /// # Errors
    /// Fails when there is no Chromium, and when it fails or takes too long.
    pub async fn pdf(&self, page: &[u8]) -> Result<Bytes, ChromiumError> {
        let options = vec!["--no-pdf-header-footer".to_owned()];
        self.file(page, "page.html", Output::Pdf, options).await
    }

    /// Draws a chart.
    ///
    /// # Errors
    /// As [`Self::pdf`].
    pub async fn png(&self, chart: &ChartFile) -> Result<Bytes, ChromiumError> {
        let options = vec![
            format!("--window-size={},{}", chart.width.ceil(), chart.height.ceil()),
            format!("--force-device-scale-factor={SCALE}"),
            "--hide-scrollbars".to_owned(),
        ];
        self.file(chart.svg.as_bytes(), "chart.svg", Output::Png, options).await
    }

    async fn file(
        &self,
        content: &[u8],
        name: &'static str,
        output: Output,
        options: Vec<String>,
    ) -> Result<Bytes, ChromiumError> {
        let program = self.program.clone().ok_or(ChromiumError::Missing)?;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content);
        let key = format!("{} {}", output.file_name(), hex::encode(digest.as_ref()));
        let content = content.to_vec();
        let make = async {
            let failed = |error: &dyn std::fmt::Display| ChromiumError::Failed(error.to_string());
            let _permit = self.running.acquire().await.map_err(|e| failed(&e))?;
            let made = tokio::task::spawn_blocking(move || {
                run(&program, &content, name, output, &options)
            });
            made.await.map_err(|e| failed(&e))?
        };
        self.made.try_get_with(key, make).await.map_err(|error| error.as_ref().clone())
    }
}

/// What Chromium makes.
#[derive(Debug, Clone, Copy)]
enum Output {
    Pdf,
    Png,
}

impl Output {
    fn file_name(self) -> &'static str {
        match self {
            Self::Pdf => "made.pdf",
            Self::Png => "made.png",
        }
    }

    fn option(self, path: &Path) -> String {
        match self {
            Self::Pdf => format!("--print-to-pdf={}", path.display()),
            Self::Png => format!("--screenshot={}", path.display()),
        }
    }
}

fn run(
    program: &Path,
    content: &[u8],
    name: &str,
    output: Output,
    options: &[String],
) -> Result<Bytes, ChromiumError> {
    let failed = |error: std::io::Error| ChromiumError::Failed(error.to_string());
    let folder = tempfile::tempdir().map_err(failed)?;
    let page = folder.path().join(name);
    let made = folder.path().join(output.file_name());
    let errors = folder.path().join("errors.txt");
    fs::write(&page, content).map_err(failed)?;
    let mut command = Command::new(program);
    command
        .args(["--headless", "--disable-gpu", "--no-first-run", "--disable-extensions"])
        // What is printed loads nothing; this makes sure of it.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND")
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .args(options)
        .arg(output.option(&made))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&errors).map_err(failed)?);
    if is_superuser() {
        // Chromium's sandbox does not work for the superuser.
        command.arg("--no-sandbox");
    }
    let url = url::Url::from_file_path(&page)
        .map_err(|()| ChromiumError::Failed("the temporary folder has no absolute path".into()))?;
    let process = LimitedProcess::spawn(command.arg(url.as_str()), TIMEOUT);
    if process.map_err(failed)?.wait(|| false).map_err(failed)? == ProcessEnd::TimedOut {
        return Err(ChromiumError::TimedOut);
    }
    fs::read(&made).map(Bytes::from).map_err(|_| {
        let errors = fs::read_to_string(&errors).unwrap_or_default();
        let last = errors.lines().rfind(|line| !line.trim().is_empty());
        ChromiumError::Failed(last.unwrap_or("it says nothing").to_owned())
    })
}

/// Returns whether this process belongs to the superuser. Only Linux tells it by a file.
fn is_superuser() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
