//! How values are written for people, on pages, on the terminal and in sentences.
//!
//! Functions whose name begins with `plain_` put an ordinary space before a unit or inside a date:
//! their text also goes to terminals, CSV and JSON. Their counterparts without the prefix are for
//! pages: they put a narrow no-break space (U+202F) before a unit and a no-break space (U+00A0)
//! inside a date. Every function writes a true minus (U+2212).
//!
//! - `numbers`: integers, decimals, percentages, multiples
//! - `money`: amounts in a currency
//! - `dates`: dates, months, instants
//! - `durations`: time spans
//! - `counts`: a count with its noun
//! - `text`: lists, labels, capitals, cutting to a width
//! - `settings`: what a plan changes
//! - `escape`: control characters written out

mod counts;
mod dates;
mod durations;
mod escape;
mod money;
mod numbers;
mod settings;
mod text;

pub use counts::{agree, count_in_words, counted};
pub use dates::{
    date, date_with_year, elapsed_days_of_month, instant, long_date, long_month, long_month_year,
    month, month_year, plain_date, plain_date_range, plain_date_with_year,
};
pub use durations::{duration, duration_in_words, duration_parts, whole_days};
pub use escape::{into_printable, into_printable_lines, printable, printable_lines};
pub use money::{axis_amount, currency_prefix, money, money_parts};
pub use numbers::{
    decimal, multiple, percent, percent_with_places, plain_percent, plain_percent_as_given,
    plain_percent_with_places, plain_signed_percent, short_percent, signed_decimal, signed_integer,
    signed_percent, thousands,
};
pub use settings::{plain_setting, recipient};
pub use text::{
    UNKNOWN, capitalized, display_width, joined_with_and, keep_percent_together, known_or_unknown,
    name_or_id, truncate_to_chars, truncate_to_width,
};

/// Between a number and its unit on pages: narrow and never broken.
pub const NARROW_NO_BREAK_SPACE: char = '\u{202F}';
/// Inside dates and amounts on pages: never broken.
pub const NO_BREAK_SPACE: char = '\u{A0}';
/// The minus sign, which is wider than a hyphen.
pub const MINUS: char = '\u{2212}';

/// Compares a text for pages with one that is typed with ordinary spaces and hyphens.
#[cfg(test)]
#[track_caller]
fn check_text(written: &str, expected: &str) {
    let typed = written.replace([NARROW_NO_BREAK_SPACE, NO_BREAK_SPACE], " ").replace(MINUS, "-");
    assert_eq!(typed, expected);
}
