//! Which findings does the repository itself take back?
//!
//! ```yaml
//! # muster.dev/lint-ignore: image-tag          above a line, or above a document for all of it
//! image: nginx    # muster.dev/lint-ignore: image-tag
//! metadata: {annotations: {muster.dev/lint-ignore: "image-tag, missing-namespace"}}
//! ```

use muster_render::Object;

use super::finding::At;
use super::rule::Rule;
use crate::source::Files;

/// The comment's beginning, and the annotation's name.
const NAME: &str = "muster.dev/lint-ignore";

/// Whether an annotation of the object takes a rule back.
pub(crate) fn by_annotation(object: &Object, rule: Rule) -> bool {
    let annotations = object.value.pointer("/metadata/annotations");
    let text = annotations.and_then(|annotations| annotations.get(NAME)).and_then(serde_json::Value::as_str);
    text.is_some_and(|text| names(text, rule))
}

/// Whether a comment beside or above the place takes a rule back.
pub(crate) fn by_comment(files: &Files, at: &At, rule: Rule) -> bool {
    let Some(bytes) = files.get(&at.file).filter(|_| at.line > 0) else { return false };
    if !crate::definitions::contains(bytes, NAME) {
        return false;
    }
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    let line = at.line - 1;
    let is_beside = lines.get(line).is_some_and(|line| in_comment(line, rule));
    is_beside || above(&lines, line, rule) || above(&lines, first_line(&lines, line), rule)
}

/// Whether a block of comments that ends just above a line takes a rule back.
fn above(lines: &[&str], line: usize, rule: Rule) -> bool {
    let before = lines.get(..line.min(lines.len())).unwrap_or_default();
    before.iter().rev().take_while(|line| is_comment(line)).any(|line| in_comment(line, rule))
}

/// The first line of the document around a line that is neither empty nor a comment.
fn first_line(lines: &[&str], line: usize) -> usize {
    let before = lines.get(..line.min(lines.len())).unwrap_or_default();
    let start = before.iter().rposition(|line| line.starts_with("---")).map_or(0, |separator| separator + 1);
    let rest = lines.get(start..).unwrap_or_default();
    start + rest.iter().position(|line| !line.trim().is_empty() && !is_comment(line)).unwrap_or(0)
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

fn in_comment(line: &str, rule: Rule) -> bool {
    let comment = line.split_once(NAME).filter(|(before, _)| before.trim_end().ends_with('#'));
    let listed = comment.and_then(|(_, behind)| behind.strip_prefix(':'));
    listed.is_some_and(|text| names(text, rule))
}

/// Whether a list names a rule. Words behind the list, as for a reason, do no harm.
fn names(text: &str, rule: Rule) -> bool {
    text.split([',', ' ']).any(|id| Rule::of(id.trim()) == Some(rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# muster.dev/lint-ignore: missing-namespace
a: 1
---
# A comment.
# muster.dev/lint-ignore: plain-secret, image-tag made for a test

b: 2
# muster.dev/lint-ignore: render
c:
  d: 3  # muster.dev/lint-ignore: image-tag
  e: 'muster.dev/lint-ignore: image-tag'
";

    #[test]
    fn comments_count_beside_above_and_above_the_document() {
        let files = Files::from([("f.yaml".to_owned(), TEXT.into())]);
        let ignored = |line: usize, rule: Rule| {
            by_comment(&files, &At { file: "f.yaml".to_owned(), line, column: 1 }, rule)
        };
        assert!(ignored(2, Rule::MissingNamespace));
        assert!(!ignored(7, Rule::MissingNamespace), "a comment counts for its document only");
        assert!(!ignored(7, Rule::PlainSecret), "an empty line ends what a comment is about");
        assert!(ignored(9, Rule::Render));
        assert!(!ignored(10, Rule::Render));
        assert!(ignored(10, Rule::ImageTag));
        assert!(!ignored(11, Rule::ImageTag), "text is no comment");
        assert!(!ignored(0, Rule::Render) && !ignored(99, Rule::Render));
    }
}
