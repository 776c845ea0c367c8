//! The lead of a page: as many of its sentences as two lines hold.

use maud::{Markup, html};

/// Characters of two lines of 920 px in 20 px type, where a character takes up to 0.59 em.
pub(crate) const ROOM: usize = 155;

/// Joins sentences, the most important first; one that does not fit any more is left out, and so
/// is what comes after it. The first always stands.
pub(crate) fn lead(sentences: impl IntoIterator<Item = Markup>) -> Markup {
    let mut kept: Vec<Markup> = Vec::new();
    let mut length = 0;
    for sentence in sentences {
        let more = visible(&sentence.0).chars().count() + 1;
        if !kept.is_empty() && length + more > ROOM {
            break;
        }
        length += more;
        kept.push(sentence);
    }
    html! {
        @for (i, sentence) in kept.iter().enumerate() { @if i > 0 { " " } (sentence) }
    }
}

/// The text that a reader sees of HTML of ours: without tags, an entity as the character it is.
pub(crate) fn visible(html: &str) -> String {
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
    fn what_does_not_fit_is_left_out() {
        let of = |n: usize| html! { b title="<\">" { ("x".repeat(n)) } };
        let length = |parts: &[usize]| {
            visible(&lead(parts.iter().map(|n| of(*n))).into_string()).chars().count()
        };
        assert_eq!(length(&[100, 40]), 141);
        assert_eq!(length(&[100, 80, 10]), 100);
        assert_eq!(length(&[500, 1]), 500);
        assert_eq!(visible("<p class=\"a\">1 &lt; 2 &amp; 3</p>"), "1 < 2 & 3");
    }
}
