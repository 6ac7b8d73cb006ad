//! Texts of others, as they are shown to people: a name or a refused record must not write to the
//! reader's terminal, break a line, or change the direction of what is around it.

use std::borrow::Cow;

/// Does a character do something to a terminal instead of being shown?
#[must_use]
pub fn is_control_or_bidirectional(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text with such characters escaped: a line feed as `\n`, an escape as `\u{1b}`.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control_or_bidirectional) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_control_or_bidirectional(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_shown_is_escaped() {
        let cases = [
            ("plain, \"quoted\" \\ ü 😀", "plain, \"quoted\" \\ ü 😀"),
            ("a\nb\t\u{1b}[31m", "a\\nb\\t\\u{1b}[31m"),
            ("\u{202e}x\u{7f}", "\\u{202e}x\\u{7f}"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(printable(text), expected);
        }
    }
}
