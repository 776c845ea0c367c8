//! Where things stand in the text of a query.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::mistake::{Area, Place};

/// The words and signs of a file, without spaces and comments.
pub(crate) struct Words(Vec<TokenWithSpan>);

impl Words {
    /// As far as the text can be taken apart.
    pub(crate) fn of(text: &str) -> Self {
        let mut tokens = Vec::new();
        let dialect = GenericDialect {};
        // What can't be taken apart can't be parsed either, which is said.
        let _ = Tokenizer::new(&dialect, text).tokenize_with_location_into_buf(&mut tokens);
        tokens.retain(|t| !matches!(t.token, Token::Whitespace(_) | Token::EOF));
        Self(tokens)
    }

    /// The first word after the header, or the file's first character.
    pub(crate) fn first(&self) -> Area {
        self.0.first().and_then(area).unwrap_or(START)
    }

    /// What follows the end of the first statement.
    pub(crate) fn second_statement(&self) -> Option<Area> {
        let end = self.0.iter().position(|t| t.token == Token::SemiColon)?;
        self.0[end..].iter().find(|t| t.token != Token::SemiColon).and_then(area)
    }

    /// The first time that word stands there.
    pub(crate) fn word(&self, word: &str) -> Option<Area> {
        self.0.iter().find(|t| is_word(t, word)).and_then(area)
    }

    /// The last time it stands before a place.
    pub(crate) fn before(&self, place: Place, word: &str) -> Option<Area> {
        let areas = self.0.iter().filter(|t| is_word(t, word)).filter_map(area);
        areas.take_while(|a| a.place < place).last()
    }

    /// A table where a query first reads it.
    pub(crate) fn table(&self, name: &str) -> Option<Area> {
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
        found.and_then(|at| area(&self.0[at])).or_else(|| self.word(name))
    }

    /// The last of a series of words: `ORDER BY` of the outermost query.
    pub(crate) fn last(&self, word: &str) -> Option<Area> {
        self.0.iter().rev().find(|t| is_word(t, word)).and_then(area)
    }
}

const START: Area = Area { place: Place { line: 1, column: 1 }, width: 1 };

fn is_word(token: &TokenWithSpan, word: &str) -> bool {
    matches!(&token.token, Token::Word(w) if w.value.eq_ignore_ascii_case(word))
}

fn area(token: &TokenWithSpan) -> Option<Area> {
    Area::of_span(token.span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_outside_of_comments() {
        let words =
            Words::of("/*--- sum ---*/\nSELECT sum(a), sum(b)\nFROM raw.t -- sum\nJOIN u ON a = t");
        let at = |area: Option<Area>| area.map(|a| (a.place.line, a.place.column, a.width));
        assert_eq!(at(Some(words.first())), Some((2, 1, 6)));
        assert_eq!(at(words.word("SUM")), Some((2, 8, 3)));
        assert_eq!(at(words.before(Place { line: 2, column: 20 }, "sum")), Some((2, 16, 3)));
        assert_eq!(at(words.table("raw.t")), Some((3, 10, 1)));
        assert_eq!(at(words.table("u")), Some((4, 6, 1)));
        assert_eq!(at(words.second_statement()), None);
        assert_eq!(at(words.last("sum")), Some((2, 16, 3)));
    }
}
