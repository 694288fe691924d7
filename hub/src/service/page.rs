//! Which part of a long list does one answer have?
//!
//! A token names the last thing that was told, so a page begins behind it whatever has come and gone meanwhile
//! (<https://google.aip.dev/158>).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tonic::Status;

/// Most things on a page.
const SIZE_MAX: usize = 1_000;

/// Where a page begins, and how long it may be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// None: all there are.
    size: Option<usize>,
    after: Option<String>,
}

impl Page {
    /// As a request says it; a size of 0 is no limit.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a token that no answer gave.
    pub(super) fn new(size: u32, token: &str) -> Result<Self, Status> {
        let size = (size > 0).then(|| usize::try_from(size).unwrap_or(SIZE_MAX).min(SIZE_MAX));
        let wrong = || Status::invalid_argument("page_token is none that an answer gave");
        let after = match token {
            "" => None,
            token => {
                let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| wrong())?;
                Some(String::from_utf8(bytes).map_err(|_| wrong())?)
            }
        };
        Ok(Self { size, after })
    }

    /// The page of a list that is in the order of its keys, and the token of the next one; empty for none.
    pub(super) fn of_sorted<T>(&self, mut list: Vec<T>, key: impl Fn(&T) -> String) -> (Vec<T>, String) {
        if let Some(after) = &self.after {
            list.retain(|one| key(one) > *after);
        }
        self.cut(list, key)
    }

    /// The same of a list in any order; none when what the token names is gone.
    pub(super) fn of_list<T>(
        &self,
        mut list: Vec<T>,
        key: impl Fn(&T) -> String,
    ) -> Option<(Vec<T>, String)> {
        if let Some(after) = &self.after {
            let last = list.iter().position(|one| key(one) == *after)?;
            list.drain(..=last);
        }
        Some(self.cut(list, key))
    }

    fn cut<T>(&self, mut list: Vec<T>, key: impl Fn(&T) -> String) -> (Vec<T>, String) {
        let Some(size) = self.size.filter(|size| *size < list.len()) else { return (list, String::new()) };
        list.truncate(size);
        let next = list.last().map(|last| URL_SAFE_NO_PAD.encode(key(last))).unwrap_or_default();
        (list, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(size: u32, list: &[&str]) -> Vec<Vec<String>> {
        let list: Vec<String> = list.iter().map(|one| (*one).to_owned()).collect();
        let (mut token, mut pages) = (String::new(), Vec::new());
        loop {
            let (page, next) = Page::new(size, &token).unwrap().of_sorted(list.clone(), String::clone);
            pages.push(page);
            if next.is_empty() {
                return pages;
            }
            token = next;
        }
    }

    #[test]
    fn every_thing_is_on_one_page() {
        assert_eq!(walk(2, &["a", "b", "c", "d", "e"]), [vec!["a", "b"], vec!["c", "d"], vec!["e"]]);
        assert_eq!(walk(2, &["a", "b"]), [vec!["a", "b"]]);
        assert_eq!(walk(0, &["a", "b", "c"]), [vec!["a", "b", "c"]]);
        assert_eq!(walk(1, &[]), [Vec::<String>::new()]);
    }

    #[test]
    fn what_comes_and_goes_moves_no_page() {
        let (_, token) = Page::new(2, "").unwrap().of_sorted(vec!["b", "c", "d"], |one| (*one).to_owned());
        let page = Page::new(2, &token).unwrap();
        let (rest, next) = page.of_sorted(vec!["a", "b", "d", "e"], |one| (*one).to_owned());
        assert_eq!((rest, next.as_str()), (vec!["d", "e"], ""));
        assert_eq!(page.of_list(vec!["x", "y"], |one| (*one).to_owned()), None);
    }

    #[test]
    fn a_token_of_ones_own_is_refused() {
        for token in ["a b", "=", "_w"] {
            assert!(Page::new(1, token).is_err(), "{token}");
        }
        assert_eq!(Page::new(u32::MAX, "").unwrap().size, Some(SIZE_MAX));
    }
}
