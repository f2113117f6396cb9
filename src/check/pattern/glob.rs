//! Globs: what their characters mean, and what is wrong with one.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Dot, Hir};

use super::automaton::many;

/// A piece of a glob.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// `*`
    Any,
    /// `?`
    One,
    /// `[a-z]`, `[!a-z]`
    Class(bool, Vec<(char, char)>),
    /// Anything else, and what follows a `\`.
    Char(char),
}

/// What is wrong with a glob, from which byte to which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::check) struct Malformed {
    pub(in crate::check) start: usize,
    pub(in crate::check) end: usize,
    pub(in crate::check) what: &'static str,
    pub(in crate::check) cure: &'static str,
}

/// Says what is wrong with a glob.
pub(in crate::check) fn malformed(glob: &str) -> Option<Malformed> {
    pieces(glob).err()
}

/// The glob as an expression over whole texts; none when it is malformed.
pub(super) fn expression(glob: &str) -> Option<Hir> {
    let parts = pieces(glob).ok()?.into_iter().map(|piece| match piece {
        // Bytes do for characters: what stands next begins with a whole one.
        Piece::Any => many(Dot::AnyByte),
        Piece::One => Hir::dot(Dot::AnyChar),
        Piece::Char(c) => Hir::literal(c.to_string().into_bytes()),
        Piece::Class(negated, ranges) => {
            let ranges = ranges
                .iter()
                .map(|(low, high)| ClassUnicodeRange::new(*low, *high));
            let mut class = ClassUnicode::new(ranges);
            if negated {
                class.negate();
            }
            Hir::class(Class::Unicode(class))
        }
    });
    Some(Hir::concat(parts.collect()))
}

fn pieces(glob: &str) -> Result<Vec<Piece>, Malformed> {
    let chars: Vec<(usize, char)> = glob.char_indices().collect();
    let char_at = |at: usize| chars.get(at).map(|(_, c)| *c);
    let offset = |at: usize| chars.get(at).map_or(glob.len(), |(offset, _)| *offset);
    let wrong = |from: usize, to: usize, what, cure| Malformed {
        start: offset(from),
        end: offset(to),
        what,
        cure,
    };
    let unclosed = |from: usize| {
        wrong(
            from,
            from + 1,
            "this bracket is not closed",
            "write `[…]`; the character itself is written `\\\\[`",
        )
    };
    let escape = |at: usize| {
        wrong(
            at,
            at + 1,
            "nothing stands behind this backslash",
            "the character itself is written `\\\\\\\\`",
        )
    };
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(c) = char_at(at) {
        let begin = at;
        at += 1;
        let piece = match c {
            // Several stars mean what one does.
            '*' if out.last() == Some(&Piece::Any) => continue,
            '*' => Piece::Any,
            '?' => Piece::One,
            '\\' => {
                let next = char_at(at).ok_or_else(|| escape(begin))?;
                at += 1;
                Piece::Char(next)
            }
            '[' => {
                if char_at(at) == Some('^') {
                    return Err(wrong(
                        at,
                        at + 1,
                        "a class is negated by `!`",
                        "write `[!…]`; the character itself is written `\\\\^`",
                    ));
                }
                let negated = char_at(at) == Some('!');
                at += usize::from(negated);
                let first = at;
                let mut ranges = Vec::new();
                loop {
                    let from = at;
                    let member = |at: &mut usize| {
                        let mut c = char_at(*at).ok_or_else(|| unclosed(begin))?;
                        if c == '\\' {
                            *at += 1;
                            c = char_at(*at).ok_or_else(|| unclosed(begin))?;
                        }
                        *at += 1;
                        Ok(c)
                    };
                    if char_at(at) == Some(']') && at > first {
                        at += 1;
                        break;
                    }
                    // `[:alpha:]` of POSIX; as characters, it means another set.
                    if char_at(at) == Some('[') && matches!(char_at(at + 1), Some(':' | '.' | '='))
                    {
                        return Err(wrong(
                            at,
                            at + 2,
                            "classes have no names",
                            "write the characters, as in `[a-zA-Z]`; the character itself is written `\\\\[`",
                        ));
                    }
                    let low = member(&mut at)?;
                    let mut high = low;
                    if char_at(at) == Some('-') && char_at(at + 1).is_some_and(|c| c != ']') {
                        at += 1;
                        high = member(&mut at)?;
                    }
                    if low > high {
                        return Err(wrong(
                            from,
                            at,
                            "no character is in this range",
                            "write the lower character first",
                        ));
                    }
                    ranges.push((low, high));
                }
                Piece::Class(negated, ranges)
            }
            c => Piece::Char(c),
        };
        out.push(piece);
    }
    Ok(out)
}
