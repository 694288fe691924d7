//! How is a text from elsewhere made short enough to show?

/// Cuts a text to at most so many bytes, between characters, and marks that it was cut.
pub(crate) fn shorten(mut text: String, bytes_max: usize) -> String {
    const MARK: char = '…';
    if text.len() > bytes_max {
        let room = bytes_max.saturating_sub(MARK.len_utf8());
        let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push(MARK);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(shorten("short".to_owned(), 5), "short");
        assert_eq!(shorten("äöüß".to_owned(), 6), "ä…");
        assert!(shorten("ä".repeat(300), 256).len() <= 256);
    }
}
