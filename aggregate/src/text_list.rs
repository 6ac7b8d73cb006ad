//! Texts by number, one after another in one buffer: looking many of them up touches little memory.

/// A list of texts.
#[derive(Debug, Default)]
pub(crate) struct TextList {
    bytes: String,
    /// Where each text ends; it begins where the one before ends.
    ends: Vec<usize>,
}

impl TextList {
    /// The text of a number; empty where there is none.
    #[inline]
    pub(crate) fn get(&self, number: u32) -> &str {
        let number = number as usize;
        let begin = number.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let range = begin.zip(self.ends.get(number).copied());
        range.and_then(|(begin, end)| self.bytes.get(begin..end)).unwrap_or_default()
    }

    /// Appends a text.
    pub(crate) fn push(&mut self, text: &str) {
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len());
    }
}

impl<'a> FromIterator<&'a str> for TextList {
    fn from_iter<T: IntoIterator<Item = &'a str>>(texts: T) -> Self {
        let mut list = Self::default();
        list.extend(texts);
        list
    }
}

impl<'a> Extend<&'a str> for TextList {
    fn extend<T: IntoIterator<Item = &'a str>>(&mut self, texts: T) {
        texts.into_iter().for_each(|text| self.push(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_by_number() {
        let mut list: TextList = ["a", "", "bc"].into_iter().collect();
        list.extend(["d"]);
        let found: Vec<&str> = (0..6).map(|number| list.get(number)).collect();
        assert_eq!(found, ["a", "", "bc", "d", "", ""]);
        assert_eq!(list.get(u32::MAX), "");
    }
}
