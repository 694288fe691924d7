//! What does a regular expression in a kustomization match?
//!
//! They are written for Go's `regexp` package (RE2), and the `regex` crate reads some of it otherwise. Here
//! are the differences (<https://pkg.go.dev/regexp/syntax>, <https://docs.rs/regex/latest/regex/#syntax>):
//! in Go a bracket, `&&`, `--` and `~~` in a class are these characters, a brace that counts nothing is a
//! brace, `\<` is `<`, `\Q` to `\E` is literal, and `\d`, `\s` and `\w` are ASCII.

use regex::{Regex, RegexBuilder};

/// Memory that one compiled pattern may take, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Compiles a pattern as Go does.
///
/// # Errors
/// When it is none, or a too large one.
pub(crate) fn compile(go: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&translate(go)).size_limit(PATTERN_BYTES_MAX).build()
}

/// The pattern as the `regex` crate has to read it.
fn translate(go: &str) -> String {
    let mut out = String::with_capacity(go.len() + 8);
    let mut rest = go;
    while let Some(first) = rest.chars().next() {
        let read = match first {
            '\\' => escape(rest, false, &mut out),
            '[' => class(rest, &mut out),
            '{' if !is_count(rest) => {
                out.push_str(r"\{");
                1
            }
            _ => {
                out.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[read..];
    }
    out
}

/// Translates the escape that a text begins with and says how many bytes it is long.
fn escape(text: &str, in_class: bool, out: &mut String) -> usize {
    if !in_class && let Some(literal) = text.strip_prefix(r"\Q") {
        let literal = literal.split_once(r"\E").map_or(literal, |(literal, _)| literal);
        out.push_str(&regex::escape(literal));
        return (literal.len() + r"\Q\E".len()).min(text.len());
    }
    let Some(escaped) = text[1..].chars().next() else {
        out.push('\\');
        return 1;
    };
    match escaped {
        'd' | 'D' | 's' | 'S' | 'w' | 'W' => {
            let class = match escaped.to_ascii_lowercase() {
                'd' => "0-9",
                's' => r"\t\n\f\r\x20",
                _ => "0-9A-Za-z_",
            };
            let not = if escaped.is_ascii_uppercase() { "^" } else { "" };
            out.push_str(&format!("[{not}{class}]"));
        }
        '<' | '>' => out.push(escaped),
        _ => {
            out.push('\\');
            out.push(escaped);
        }
    }
    1 + escaped.len_utf8()
}

/// Translates the class that a text begins with and says how many bytes it is long.
fn class(text: &str, out: &mut String) -> usize {
    out.push('[');
    let mut at = 1;
    if text[at..].starts_with('^') {
        out.push('^');
        at += 1;
    }
    let begin = at;
    while at < text.len() {
        if at > begin && text[at..].starts_with(']') {
            out.push(']');
            return at + 1;
        }
        at += class_item(&text[at..], out);
        let is_range = text[at..].starts_with('-') && !text[at + 1..].starts_with(']');
        if is_range && at + 1 < text.len() {
            out.push('-');
            at += 1 + class_item(&text[at + 1..], out);
        }
    }
    at
}

/// Translates one item of a class.
fn class_item(text: &str, out: &mut String) -> usize {
    let Some(first) = text.chars().next() else { return 0 };
    if first == '\\' {
        return escape(text, true, out);
    }
    if let Some((name, _)) = text.strip_prefix("[:").and_then(|rest| rest.split_once(":]")) {
        out.push_str(&format!("[:{name}:]"));
        return "[::]".len() + name.len();
    }
    if "[]&~-".contains(first) {
        out.push('\\');
    }
    out.push(first);
    first.len_utf8()
}

/// Whether a text begins with a number of repetitions.
fn is_count(text: &str) -> bool {
    let Some((counts, _)) = text[1..].split_once('}') else { return false };
    let (least, most) = counts.split_once(',').unwrap_or((counts, "0"));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && is_digits(least) && is_digits(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Patterns with what they match and what they do not, as Go's `regexp` has it; the case
    /// `patches/pattern-spellings` in tests/render has kubectl's word on them.
    const PATTERNS: &[(&str, &[&str], &[&str])] = &[
        ("web-.*", &["web-1", "web-"], &["web"]),
        ("[[]a]", &["[a]"], &["a"]),
        ("[]a]b", &["]b", "ab"], &["b"]),
        ("[^]]", &["a"], &["]"]),
        ("[a&&b]", &["a", "&", "b"], &["c"]),
        ("[+--]x", &["+x", ",x", "-x"], &["ax"]),
        ("[a-c-e]", &["b", "-", "e"], &["d"]),
        ("[[:alpha:]-]+", &["a-b"], &["1"]),
        ("a{b}", &["a{b}"], &["ab"]),
        ("a{,2}", &["a{,2}"], &["aa"]),
        ("a{2}", &["aa"], &["a"]),
        ("a{1,}", &["aa"], &[""]),
        (r"\Qa.b\E.", &["a.bc"], &["axbc"]),
        (r"\<a\>", &["<a>"], &["a"]),
        (r"\d+[\d.]\D", &["12.x", "123x"], &["x"]),
        (r"\w\W[\W]", &["a--"], &["aaa"]),
        (r"\s\S", &[" a"], &["\u{a0}a"]),
        (r"\w", &["a"], &["é"]),
        (r"\.\\", &[r".\"], &["x"]),
    ];

    #[test]
    fn a_pattern_is_read_as_go_reads_it() {
        for (pattern, matching, others) in PATTERNS {
            let compiled = compile(&format!("^(?:{pattern})$")).expect(pattern);
            for text in *matching {
                assert!(compiled.is_match(text), "{pattern} has to match {text:?}");
            }
            for text in *others {
                assert!(!compiled.is_match(text), "{pattern} may not match {text:?}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["a(", "[a", "*", "a\\", "(?P<n", "[z-a]", "(a{1000}){1000}"] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
    }
}
