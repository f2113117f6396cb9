//! How a character that must not stand in a text as it is can be written there.
//!
//! In the block form, and in the expressions of the YAML form, texts have the
//! escape `\u{…}`. A text that is a scalar of YAML has YAML's own escapes, and
//! those only in double quotes.

use std::cell::OnceCell;

use super::{Form, yaml};

/// The texts of one file.
pub struct Escapes<'a> {
    form: Form,
    text: &'a str,
    /// Start, end, and whether it is in double quotes, in the order of the text.
    /// They are found when they are needed first: most policies have nothing to
    /// escape.
    scalars: OnceCell<Vec<(usize, usize, bool)>>,
}

impl<'a> Escapes<'a> {
    /// The texts of a file in a form.
    pub fn new(form: Form, text: &'a str) -> Self {
        Self {
            form,
            text,
            scalars: OnceCell::new(),
        }
    }

    /// How the character at an offset is written, in backticks, and between which
    /// quotes where that must be said.
    pub fn of(&self, at: usize, c: char) -> String {
        let native = || format!("`{}`", c.escape_unicode());
        if self.form == Form::Native {
            return native();
        }
        let scalars = self.scalars.get_or_init(|| yaml::scalars(self.text));
        let behind = scalars.partition_point(|(start, ..)| *start <= at);
        let around = behind.checked_sub(1).and_then(|last| scalars.get(last));
        let escape = yaml::escape(c);
        match around.filter(|(_, end, _)| at < *end) {
            Some((_, _, true)) => format!("`{escape}`"),
            // Behind a quote it is in a text of an expression.
            Some((start, ..)) if self.text.get(*start..at).unwrap_or("").contains('"') => native(),
            _ => format!("`{escape}` in double quotes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_has_the_escapes_of_its_kind() {
        let place = |text: &str| text.find('\u{200b}').unwrap();
        let of = |form, text: &str| Escapes::new(form, text).of(place(text), '\u{200b}');
        assert_eq!(of(Form::Native, "set a = { \"\u{200b}\" }"), "`\\u{200b}`");
        for (yaml, expected) in [
            ("set:\n  a:\n    - \"x\u{200b}\"\n", "`\\u200b`"),
            ("set: { a: [\"b\", \"x\u{200b}\"] }\n", "`\\u200b`"),
            ("set:\n  a: ['x\u{200b}']\n", "`\\u200b` in double quotes"),
            ("set:\n  a: [x\u{200b}]\n", "`\\u200b` in double quotes"),
            ("rules:\n  - when: comm == \"x\u{200b}\"\n", "`\\u{200b}`"),
            ("rules:\n  - when: 'comm == \"x\u{200b}\"'\n", "`\\u{200b}`"),
            (
                "rules:\n  - when: |\n      comm == \"x\u{200b}\"\n",
                "`\\u{200b}`",
            ),
            (
                "rules:\n  - when: \"comm == \\\"x\u{200b}\\\"\"\n",
                "`\\u200b`",
            ),
            ("# \u{200b}\n", "`\\u200b` in double quotes"),
            ("a: [ \u{200b}\n", "`\\u200b` in double quotes"),
        ] {
            assert_eq!(of(Form::Yaml, yaml), expected, "{yaml}");
        }
        // What YAML does not have at all is found nevertheless.
        let text = "a: \"\u{7}\"\n";
        assert_eq!(Escapes::new(Form::Yaml, text).of(4, '\u{7}'), "`\\x07`");
    }
}
