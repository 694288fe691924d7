//! What can go wrong with the text of a repository?
//!
//! Small damage to small repositories, such as people, editors and merges do it, and such as only
//! somebody who means harm does: the mark of an anchor in the wrong place, a line a thousand times,
//! brackets without end. The same random numbers do the same damage.

use fastrand::Rng;

use super::outcome::Files;

/// Pieces of text that mean something to a reader of YAML or to Kustomize.
const PIECES: [&str; 58] = [
    "&a ",
    "*a",
    "<<: *a\n",
    "<<: [*a, *b]\n",
    "a: &a [*a]\n",
    "- ",
    "? ",
    ": ",
    ",",
    "{",
    "}",
    "[",
    "]",
    "{}",
    "[]",
    "|",
    "|-\n",
    ">+2\n",
    "'",
    "\"",
    "\\",
    "\"\\x",
    "\"\\u00",
    "# ",
    "%YAML 1.1\n",
    "---\n",
    "--- x\n",
    "...\n",
    "!",
    "!!str ",
    "!!binary ",
    "!!float ",
    "!<",
    "\t",
    "\r\n",
    "\r",
    "\u{FEFF}",
    "\u{85}",
    "\u{2028}",
    "\u{1F600}",
    "\0",
    "~",
    "null",
    "0x",
    "1e999",
    "-.inf",
    "0o7",
    "2020-01-01",
    "$patch: delete\n",
    "$(A)",
    "../",
    "metadata/name",
    "spec.a.[b=c].0",
    "(a|b",
    "kind: List\nitems:\n",
    "99999999999999999999",
    "`",
    "@",
];

/// Marks of which thousands inside one another are tried.
const NESTING: [&str; 6] = ["[", "{a: ", "- ", "? ", "a:\n ", "!!str "];

/// Damages some of the files.
pub(super) fn damage(files: &mut Files, random: &mut Rng) {
    let names: Vec<String> = files.keys().cloned().collect();
    for _ in 0..random.usize(1..4) {
        let Some(name) = random.choice(&names) else { return };
        let other = random.choice(&names).and_then(|name| files.get(name)).cloned().unwrap_or_default();
        if let Some(text) = files.get_mut(name) {
            for _ in 0..random.usize(1..5) {
                once(text, &other, random);
            }
        }
    }
}

/// A place between two bytes, at the beginning of a line as often as not.
fn place(text: &[u8], random: &mut Rng) -> usize {
    let anywhere = random.usize(..=text.len());
    if random.bool() {
        return anywhere;
    }
    text[..anywhere].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1)
}

fn insert(text: &mut Vec<u8>, at: usize, piece: &[u8]) {
    text.splice(at..at, piece.iter().copied());
}

fn range(text: &[u8], random: &mut Rng) -> std::ops::Range<usize> {
    let (one, other) = (place(text, random), place(text, random));
    let (from, to) = (one.min(other), one.max(other));
    from..to.min(from + 400)
}

fn once(text: &mut Vec<u8>, other: &[u8], random: &mut Rng) {
    let at = place(text, random);
    match random.u8(..12) {
        0 if !text.is_empty() => {
            let at = random.usize(..text.len());
            text[at] = random.u8(..);
        }
        1 | 2 => {
            let piece = random.choice(PIECES).unwrap_or_default();
            insert(text, at, piece.as_bytes());
        }
        3 => {
            let gone = range(text, random);
            text.drain(gone);
        }
        4 => {
            let twice = text[range(text, random)].to_vec();
            insert(text, at, &twice);
        }
        5 => {
            let foreign = other[range(other, random)].to_vec();
            insert(text, at, &foreign);
        }
        6 => insert(text, at, &b" ".repeat(random.usize(1..5))),
        7 => {
            // A value elsewhere: from behind a colon to the end of the line.
            let from = text[at..].iter().position(|byte| *byte == b':').map_or(at, |colon| at + colon + 1);
            let to = text[from..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| from + end);
            let piece = random.choice(PIECES).unwrap_or_default();
            text.splice(from..to, format!(" {}", piece.trim_end()).into_bytes());
        }
        8 => {
            let line = text[range(text, random)].to_vec();
            if random.u8(..20) == 0 {
                insert(text, at, &line.repeat(random.usize(1..300)));
            }
        }
        9 => {
            if random.u8(..20) == 0 {
                let mark = random.choice(NESTING).unwrap_or_default();
                insert(text, at, mark.repeat(random.usize(1..20_000)).as_bytes());
            }
        }
        10 => text.truncate(at),
        _ => {
            let piece = random.choice(PIECES).unwrap_or_default();
            let gone = range(text, random);
            let gone = gone.start..gone.end.min(gone.start + 12);
            text.splice(gone, piece.bytes());
        }
    }
}
