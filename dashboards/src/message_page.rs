//! A page with one message: an error, or the form to sign in.

use domain::printable_lines;
use maud::{DOCTYPE, html};

use crate::components::shell::logo;

/// A page of the server that shows no figures.
#[derive(Debug, Clone, Copy, Default)]
pub struct MessagePage<'a> {
    pub title: &'a str,
    /// One sentence without its full stop.
    pub text: &'a str,
    /// Where to go on: an address and the text of the link.
    pub next: Option<(&'a str, &'a str)>,
    /// Whether a browser goes there by itself.
    pub goes_on: bool,
    /// Whether the page has the form to sign in with a token. It leads to `return_to` then.
    pub has_sign_in: bool,
    pub return_to: &'a str,
    /// Where people can sign in instead: its name and the address that leads there.
    pub provider: Option<(&'a str, &'a str)>,
}

impl MessagePage<'_> {
    /// Returns the HTML of the page.
    pub fn html(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="referrer" content="no-referrer";
                    @if let Some((address, _)) = self.next.filter(|_| self.goes_on) {
                        meta http-equiv="refresh" content={ "0;url=" (address) };
                    }
                    title { (self.title) " · Rapport" }
                    link rel="stylesheet" href="/style.css";
                }
                body.message {
                    main #main {
                        p.brand { (logo()) "Rapport" }
                        h1 { (self.title) }
                        @if !self.text.is_empty() { p.lead role=[self.has_sign_in.then_some("alert")] { (self.text.trim_end_matches('.')) "." } }
                        @if self.has_sign_in {
                            form method="post" action="/sign-in" {
                                input type="hidden" name="return_to" value=(self.return_to);
                                label { span { "Token" } input type="password" name="token" autocomplete="current-password" required; }
                                button.main type="submit" { "Sign in" }
                            }
                        }
                        @if let Some((name, address)) = self.provider {
                            p { a.button href=(address) { "Sign in with " (name) } }
                        }
                        @if let Some((address, label)) = self.next { p { a href=(address) { (label) } } }
                    }
                }
            }
        };
        printable_lines(&page.into_string()).into_owned()
    }
}
