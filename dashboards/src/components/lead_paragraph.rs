//! The lead of a page: its most important sentences, as many as fit on two lines.

use maud::{Markup, html};

/// The number of characters on two lines of 920 px in 20 px type, at up to 0.59 em per character.
pub(crate) const MAX_LENGTH: usize = 155;

/// Joins sentences, the most important first. The first one that does not fit is left out with all
/// that follow. The very first sentence always stays.
pub(crate) fn lead(sentences: impl IntoIterator<Item = Markup>) -> Markup {
    let mut kept: Vec<Markup> = Vec::new();
    let mut length = 0;
    for sentence in sentences {
        let more = visible_text(&sentence.0).chars().count() + 1;
        if !kept.is_empty() && length + more > MAX_LENGTH {
            break;
        }
        length += more;
        kept.push(sentence);
    }
    html! {
        @for (i, sentence) in kept.iter().enumerate() { @if i > 0 { " " } (sentence) }
    }
}

/// Returns the visible text of HTML that this crate wrote: without tags, with entities as
/// characters.
pub(crate) fn visible_text(html: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => inside = false,
            _ if !inside => text.push(c),
            _ => {}
        }
    }
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")];
    entities.into_iter().fold(text, |text, (entity, c)| text.replace(entity, c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_that_do_not_fit_are_left_out() {
        let of = |n: usize| html! { b title="<\">" { ("x".repeat(n)) } };
        let length = |parts: &[usize]| {
            visible_text(&lead(parts.iter().map(|n| of(*n))).into_string()).chars().count()
        };
        assert_eq!(length(&[100, 40]), 141);
        assert_eq!(length(&[100, 80, 10]), 100);
        assert_eq!(length(&[500, 1]), 500);
        assert_eq!(visible_text("<p class=\"a\">1 &lt; 2 &amp; 3</p>"), "1 < 2 & 3");
    }
}
