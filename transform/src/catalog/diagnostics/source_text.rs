//! The tokens of a query's text, and the spans of its words.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use domain::Position;

use crate::catalog::diagnostics::Span;

/// The tokens of a text, without spaces and comments.
pub(crate) struct SourceText(Vec<TokenWithSpan>);

impl SourceText {
    /// Splits a text into tokens, up to the first error. The parser reports that error.
    pub(crate) fn tokenize(text: &str) -> Self {
        let mut tokens = Vec::new();
        let dialect = GenericDialect {};
        let _ = Tokenizer::new(&dialect, text).tokenize_with_location_into_buf(&mut tokens);
        tokens.retain(|t| !matches!(t.token, Token::Whitespace(_) | Token::EOF));
        Self(tokens)
    }

    /// Returns the first token after the header, or the first character of the file.
    pub(crate) fn first_token(&self) -> Span {
        self.0.first().and_then(span).unwrap_or(Span::START)
    }

    /// Returns the first token of the second statement.
    pub(crate) fn second_statement(&self) -> Option<Span> {
        let end = self.0.iter().position(|t| t.token == Token::SemiColon)?;
        self.0[end..].iter().find(|t| t.token != Token::SemiColon).and_then(span)
    }

    /// Returns the first occurrence of a word.
    pub(crate) fn find_word(&self, word: &str) -> Option<Span> {
        self.0.iter().find(|t| is_word(t, word)).and_then(span)
    }

    /// Returns the last occurrence of a word before a position.
    pub(crate) fn find_word_before(&self, position: Position, word: &str) -> Option<Span> {
        let spans = self.0.iter().filter(|t| is_word(t, word)).filter_map(span);
        spans.take_while(|span| span.start < position).last()
    }

    /// Returns the last occurrence of a word, such as `ORDER BY` of the outermost query.
    pub(crate) fn find_last_word(&self, word: &str) -> Option<Span> {
        self.0.iter().rev().find(|t| is_word(t, word)).and_then(span)
    }

    /// Returns the place where a query first reads a table.
    pub(crate) fn find_table(&self, name: &str) -> Option<Span> {
        let name = name.rsplit('.').next().unwrap_or(name);
        let reads = |at: usize| {
            let before = at.checked_sub(1).map(|at| &self.0[at]);
            before.is_some_and(|t| {
                is_word(t, "from")
                    || is_word(t, "join")
                    || matches!(t.token, Token::Comma | Token::Period)
            })
        };
        let found = (0..self.0.len()).find(|at| is_word(&self.0[*at], name) && reads(*at));
        found.and_then(|at| span(&self.0[at])).or_else(|| self.find_word(name))
    }
}

fn is_word(token: &TokenWithSpan, word: &str) -> bool {
    matches!(&token.token, Token::Word(w) if w.value.eq_ignore_ascii_case(word))
}

fn span(token: &TokenWithSpan) -> Option<Span> {
    Span::from_sql(token.span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_comments_are_not_found() {
        let text = SourceText::tokenize(
            "/*--- sum ---*/\nSELECT sum(a), sum(b)\nFROM raw.t -- sum\nJOIN u ON a = t",
        );
        let at = |span: Option<Span>| span.map(|s| (s.start.line, s.start.column, s.width));
        assert_eq!(at(Some(text.first_token())), Some((2, 1, 6)));
        assert_eq!(at(text.find_word("SUM")), Some((2, 8, 3)));
        let position = Position { line: 2, column: 20 };
        assert_eq!(at(text.find_word_before(position, "sum")), Some((2, 16, 3)));
        assert_eq!(at(text.find_table("raw.t")), Some((3, 10, 1)));
        assert_eq!(at(text.find_table("u")), Some((4, 6, 1)));
        assert_eq!(at(text.second_statement()), None);
        assert_eq!(at(text.find_last_word("sum")), Some((2, 16, 3)));
    }
}
