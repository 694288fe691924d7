//! Which references does a name mean? `main` may be a branch or a tag; a full name
//! and `HEAD` mean themselves.

/// Longest name of a reference, in bytes.
const NAME_BYTES_MAX: usize = 512;

/// The full names a name may stand for, most likely first.
pub(crate) fn candidates(name: &str) -> Vec<String> {
    if name == "HEAD" || name.starts_with("refs/") {
        return vec![name.to_owned()];
    }
    vec![format!("refs/heads/{name}"), format!("refs/tags/{name}"), format!("refs/{name}")]
}

/// The rule of `git check-ref-format` that a name breaks, if any.
pub(crate) fn flaw(name: &str) -> Option<&'static str> {
    let forbidden = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    let bad_part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > NAME_BYTES_MAX {
        Some("it is longer than 512 bytes")
    } else if name.starts_with('-') {
        Some("it begins with `-`")
    } else if name.chars().any(forbidden) {
        Some("it holds a blank, a control character or one of ~^:?*[\\")
    } else if name == "@" || name.contains("..") || name.contains("@{") || name.ends_with('.') {
        Some("it is `@`, holds `..` or `@{`, or ends with a dot")
    } else if name.split('/').any(bad_part) {
        Some("a part of it is empty, begins with a dot or ends with `.lock`")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_git() {
        for good in ["main", "refs/heads/main", "HEAD", "feature/a-b_c", "v1.0", "ünïcode"] {
            assert_eq!(flaw(good), None, "{good}");
        }
        let long = "x".repeat(600);
        for bad in [
            "",
            "-x",
            "a b",
            "a\nb",
            "a..b",
            "a/",
            "/a",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.",
            "@",
            "a@{1}",
            "a^",
            "a:b",
            "refs/heads/*",
            &long,
        ] {
            assert!(flaw(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_branch_comes_before_a_tag() {
        assert_eq!(candidates("x"), ["refs/heads/x", "refs/tags/x", "refs/x"]);
        assert_eq!(candidates("refs/tags/x"), ["refs/tags/x"]);
        assert_eq!(candidates("HEAD"), ["HEAD"]);
    }
}
