//! Numbers and their units, read and written.

use super::schema::{UNITS, Unit};

/// A number as the tables write it, `5ms`, in the smallest unit of its type.
pub(super) fn number(text: &str) -> Option<i64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let value: i64 = digits.parse().ok()?;
    match text.get(digits.len()..)? {
        "" => Some(value),
        unit => {
            let (.., size) = UNITS.iter().find(|(name, ..)| *name == unit)?;
            value.checked_mul(*size)
        }
    }
}

/// Parts per million as one would write them.
pub(super) fn ratio(ppm: i64) -> String {
    if ppm % 10_000 == 0 {
        return format!("{}%", ppm / 10_000);
    }
    let fraction = format!("{:04}", (ppm % 10_000).abs());
    let sign = if ppm < 0 { "-" } else { "" };
    let whole = (ppm / 10_000).abs();
    format!("{sign}{whole}.{}%", fraction.trim_end_matches('0'))
}

/// Bytes in the largest unit that holds them exactly.
pub(super) fn size(bytes: i64) -> String {
    let mut written = format!("{bytes}B");
    for (name, unit, size) in UNITS {
        if unit == Unit::Bytes && bytes != 0 && bytes % size == 0 {
            written = format!("{}{name}", bytes / size);
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::super::schema::{BLOCKS, FieldType};
    use super::*;

    #[test]
    fn units_come_and_go() {
        assert_eq!(number("5ms"), Some(5_000_000));
        assert_eq!(number("100"), Some(100));
        assert_eq!(number("2%"), Some(20_000));
        assert_eq!(number("5 parsecs"), None);
        assert_eq!(number("ms"), None);
        assert_eq!(ratio(20_000), "2%");
        assert_eq!(ratio(125_000), "12.5%");
        assert_eq!(ratio(-1), "-0.0001%");
        assert_eq!(size(64 << 10), "64KiB");
        assert_eq!(size(0), "0B");
        assert_eq!(size(1_000), "1000B");
    }

    /// A default that does not parse would silently be none.
    #[test]
    fn defaults_of_numbers_are_in_range() {
        for field in BLOCKS.iter().flat_map(|kind| kind.fields) {
            let (FieldType::Count(low, high)
            | FieldType::Duration(low, high)
            | FieldType::Ratio(low, high)
            | FieldType::Bytes(low, high)) = field.ty
            else {
                continue;
            };
            for text in field.default.iter().chain([&field.example]) {
                let number = number(text).unwrap_or_else(|| panic!("{}", field.name));
                assert!((low..=high).contains(&number), "{}", field.name);
            }
        }
    }
}
