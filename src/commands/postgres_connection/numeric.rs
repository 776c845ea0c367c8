//! Decimals in the binary form of PostgreSQL: digits in base 10,000, the weight of the first, a sign
//! and how many decimals are shown.

use bytes::{BufMut, BytesMut};

const DIGITS: usize = 4;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;

/// Appends a decimal that is given as text, such as `-12.50`.
pub(super) fn put(text: &str, out: &mut BytesMut) {
    let (sign, number) = text.strip_prefix('-').map_or((0, text), |rest| (NEGATIVE, rest));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole = whole.trim_start_matches('0');
    let padded = whole.len().next_multiple_of(DIGITS);
    let mut digits: Vec<u8> = vec![b'0'; padded - whole.len()];
    digits.extend(whole.bytes());
    digits.extend(fraction.bytes());
    digits.resize(digits.len().next_multiple_of(DIGITS), b'0');
    let groups = digits.chunks(DIGITS).map(|group| {
        group
            .iter()
            .fold(0_u16, |number, digit| number * 10 + u16::from(digit.saturating_sub(b'0')))
    });
    let groups: Vec<u16> = groups.collect();
    let first = groups.iter().position(|group| *group != 0).unwrap_or(groups.len());
    let last = groups.iter().rposition(|group| *group != 0).map_or(first, |at| at + 1);
    let shown = &groups[first..last];
    let weight = (padded / DIGITS) as i64 - 1 - first as i64;
    out.put_u16(shown.len() as u16);
    out.put_i16(if shown.is_empty() { 0 } else { weight as i16 });
    out.put_u16(if shown.is_empty() { 0 } else { sign });
    out.put_u16(fraction.len() as u16);
    shown.iter().for_each(|group| out.put_u16(*group));
}

/// Reads a decimal as text; `None` where the bytes are none, or it is not a number.
pub(super) fn read(bytes: &[u8]) -> Option<String> {
    let mut numbers = bytes.chunks(2).map(|pair| pair.try_into().ok().map(u16::from_be_bytes));
    let mut next = || numbers.next().flatten();
    let (count, weight, sign, scale) = (next()?, next()? as i16, next()?, next()?);
    if sign == NAN || bytes.len() != 8 + 2 * usize::from(count) {
        return None;
    }
    let groups: Vec<u16> = (0..count).map(|_| next()).collect::<Option<_>>()?;
    let group = |at: i32| {
        let index = usize::try_from(i32::from(weight) - at).ok();
        index.and_then(|index| groups.get(index)).copied().unwrap_or(0)
    };
    let mut text = String::new();
    (0..=i32::from(weight).max(0)).rev().for_each(|at| text.push_str(&format!("{:04}", group(at))));
    let whole = text.trim_start_matches('0').to_owned();
    let mut fraction = String::new();
    let mut at = -1;
    while fraction.len() < usize::from(scale) {
        fraction.push_str(&format!("{:04}", group(at)));
        at -= 1;
    }
    fraction.truncate(scale.into());
    let minus = if sign == NEGATIVE { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { &whole };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{minus}{whole}{point}{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_a_binary_form() {
        let check = |text: &str, expected: &[u16]| {
            let mut out = BytesMut::new();
            put(text, &mut out);
            let bytes: Vec<u8> = expected.iter().flat_map(|n| n.to_be_bytes()).collect();
            assert_eq!(out.as_ref(), bytes, "{text}");
            assert_eq!(read(&out).as_deref(), Some(text));
        };
        check("0", &[0, 0, 0, 0]);
        check("0.00", &[0, 0, 0, 2]);
        check("1", &[1, 0, 0, 0, 1]);
        check("12345.678", &[3, 1, 0, 3, 1, 2_345, 6_780]);
        check("-12.5", &[2, 0, NEGATIVE, 1, 12, 5_000]);
        check("10000", &[1, 1, 0, 0, 1]);
        check("0.0001", &[1, 0xffff, 0, 4, 1]);
        check("0.00000012", &[1, 0xfffe, 0, 8, 12]);
        assert_eq!(read(&[0, 0]), None);
        assert_eq!(read(&[0, 0, 0, 0, 0xC0, 0, 0, 0]), None);
    }
}
