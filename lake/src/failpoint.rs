//! Failpoints: named moments at which a test can stop the program, to check that commits stay
//! exactly-once.
//!
//! Only builds with debug assertions call the hook; in a release build a failpoint does nothing.

use std::sync::OnceLock;

type Hook = Box<dyn Fn(&str, &str) + Send + Sync>;

static HOOK: OnceLock<Hook> = OnceLock::new();

/// Sets the function that every failpoint of this process calls, with the failpoint's name and its
/// subject, a table or a topic. Only the first call has an effect.
pub fn set_hook(hook: impl Fn(&str, &str) + Send + Sync + 'static) {
    drop(HOOK.set(Box::new(hook)));
}

/// Marks a moment at which the death of the process must change no result.
pub fn hit(name: &str, subject: &str) {
    if cfg!(debug_assertions)
        && let Some(hook) = HOOK.get()
    {
        hook(name, subject);
    }
}
