//! Programs that run in processes of their own. The only home of Chromium.
//!
//! - `limited_process`: a process that ends with whoever started it, or after some time
//! - `chromium`: pages as PDF and charts as PNG

mod chromium;
mod limited_process;

pub use chromium::{Chromium, ChromiumError};
pub use limited_process::{LimitedProcess, ProcessEnd};
