//! How far has the sync of an app come whose content is to be applied in order?
//!
//! Kept in an annotation of the ApplySet parent, so that an agent that starts anew runs no hook twice
//! and waits for nothing that was waited for. It is about one content: another begins with an empty one.
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::object::{Digest, from_hex, hex};

/// The annotation.
pub(super) const SYNC: &str = "muster.dev/sync";

/// What has been done for one content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Digest of the manifests it is about.
    pub(crate) content: Digest,
    /// Counts the contents the app has had: when one comes back later, its hooks run again.
    pub(crate) number: u32,
    /// Everything was applied in order, and every hook has run.
    pub(crate) complete: bool,
    /// How hooks have ended, by phase and name.
    pub(crate) hooks: BTreeMap<String, Ended>,
}

/// How the runs of one hook have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Succeeded,
    /// So many times in a row.
    Failed(u32),
}

/// The record as text.
#[derive(Serialize, Deserialize)]
struct Written {
    content: String,
    #[serde(default)]
    number: u32,
    #[serde(default)]
    complete: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    hooks: BTreeMap<String, String>,
}

impl Record {
    /// Nothing done yet for this content, which follows another.
    pub(crate) fn begin(content: Digest, before: Option<&Record>) -> Record {
        let number = before.map_or(0, |before| before.number).saturating_add(1);
        Record { content, number, ..Record::default() }
    }

    /// Reads what [`Display`](fmt::Display) wrote; `None` when it is anything else.
    pub(super) fn parse(text: &str) -> Option<Record> {
        let written: Written = serde_json::from_str(text).ok()?;
        let ended = |text: &str| match text.split_once(' ') {
            None if text == "succeeded" => Some(Ended::Succeeded),
            Some(("failed", times)) => Some(Ended::Failed(times.parse().ok()?)),
            _ => None,
        };
        let hooks = written.hooks.into_iter().filter_map(|(name, text)| Some((name, ended(&text)?)));
        Some(Record {
            content: from_hex(&written.content)?,
            number: written.number,
            complete: written.complete,
            hooks: hooks.collect(),
        })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = |ended: &Ended| match ended {
            Ended::Succeeded => "succeeded".to_owned(),
            Ended::Failed(times) => format!("failed {times}"),
        };
        let written = Written {
            content: hex(&self.content),
            number: self.number,
            complete: self.complete,
            hooks: self.hooks.iter().map(|(name, end)| (name.clone(), ended(end))).collect(),
        };
        f.write_str(&serde_json::to_string(&written).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let first = Record::begin([1; 16], None);
        let mut record = Record::begin([7; 16], Some(&first));
        assert_eq!((first.number, record.number), (1, 2));
        assert_eq!(Record::parse(&record.to_string()), Some(record.clone()));
        record.complete = true;
        record.hooks.insert("pre-sync Job.batch/demo/a".to_owned(), Ended::Succeeded);
        record.hooks.insert("post-sync Job.batch/demo/b".to_owned(), Ended::Failed(3));
        assert_eq!(Record::parse(&record.to_string()), Some(record));
    }

    #[test]
    fn anything_else_is_no_record() {
        for text in ["", "{}", "[]", r#"{"content":"zz"}"#, r#"{"content":"0707"}"#] {
            assert_eq!(Record::parse(text), None, "{text}");
        }
    }
}
