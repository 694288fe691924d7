//! Which texts are repository addresses, Git references, revisions, field pointers, expressions?

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::field_path::FieldPath;
use crate::names::{NameError, checked_text, shown};

/// Longest address, reference or pointer, in bytes.
const TEXT_BYTES_MAX: usize = 1024;
/// Longest CEL expression, in bytes.
const EXPRESSION_BYTES_MAX: usize = 4096;
/// Hexadecimal digits of a commit id.
const REVISION_DIGITS: usize = 40;

checked_text!(
    /// The address of a Git repository: `https://...`, `http://...`, `ssh://...`, `user@host:path`,
    /// `file://...` or an absolute path. Credentials have no place in it.
    RepositoryUrl,
    check_repository,
    { "type": "string", "minLength": 1, "maxLength": TEXT_BYTES_MAX }
);
checked_text!(
    /// A branch, tag or full reference name of a Git repository.
    GitReference,
    check_reference,
    { "type": "string", "minLength": 1, "maxLength": TEXT_BYTES_MAX }
);
checked_text!(
    /// A Git commit id: 40 hexadecimal digits.
    Revision,
    check_revision,
    { "type": "string", "pattern": "^[0-9a-f]{40}$" }
);
checked_text!(
    /// A JSON pointer (RFC 6901) to a field of an object, such as `/spec/replicas`.
    FieldPointer,
    check_pointer,
    { "type": "string", "pattern": "^(/([^/~]|~[01])+)+$", "maxLength": TEXT_BYTES_MAX }
);
checked_text!(
    /// A path in jq's notation to fields of an object, such as `.spec.containers[] | select(.name == "a") | .image`;
    /// of jq only what [`FieldPath`] reads.
    JqPath,
    check_jq,
    { "type": "string", "minLength": 2, "maxLength": TEXT_BYTES_MAX }
);
checked_text!(
    /// A CEL expression that gives true or false; `self` is the object.
    Expression,
    check_expression,
    { "type": "string", "minLength": 1, "maxLength": EXPRESSION_BYTES_MAX }
);

fn sized(what: &str, text: &str, bytes_max: usize) -> Result<(), NameError> {
    if text.trim().is_empty() {
        return Err(NameError(format!("{what} is empty")));
    }
    if text.len() > bytes_max {
        return Err(NameError(format!("{what} has {} bytes; at most {bytes_max} are allowed", text.len())));
    }
    Ok(())
}

fn check_repository(text: &str) -> Result<(), NameError> {
    sized("the address of the repository", text, TEXT_BYTES_MAX)?;
    let fail = |why: &str| Err(NameError(format!("the address of the repository {why}")));
    if text.chars().any(|char| char.is_whitespace() || char.is_control()) || text.starts_with('-') {
        return fail("contains blanks or begins with `-`");
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        if !matches!(scheme, "https" | "http" | "ssh" | "file") {
            return fail("begins with an unknown scheme; expected https, http, ssh or file");
        }
        let authority = rest.split('/').next().unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        // The value is not shown: what stands here is a password or a token.
        if user.is_some_and(|user| user.contains(':') || scheme.starts_with("http")) {
            return fail(
                "contains credentials; give them to the agent in a file instead (--git-credentials-file)",
            );
        }
        return Ok(());
    }
    if text.starts_with('/')
        || text.split_once(':').is_some_and(|(host, path)| !host.contains('/') && !path.is_empty())
    {
        return Ok(());
    }
    fail("is neither a URL (https://, ssh://), nor `user@host:path`, nor an absolute path")
}

fn check_reference(text: &str) -> Result<(), NameError> {
    sized("the Git reference", text, TEXT_BYTES_MAX)?;
    let refused = |char: char| char.is_whitespace() || char.is_control() || "~^:?*[\\".contains(char);
    let part_fits = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    if text.contains(refused)
        || text.starts_with('-')
        || text.ends_with('.')
        || text.contains("..")
        || text.contains("@{")
        || !text.split('/').all(part_fits)
    {
        return Err(NameError(format!("`{}` is not a Git branch, tag or reference name", shown(text))));
    }
    Ok(())
}

fn check_revision(text: &str) -> Result<(), NameError> {
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() == REVISION_DIGITS && text.bytes().all(hex) {
        return Ok(());
    }
    Err(NameError(format!(
        "`{}` is not a full commit id: expected {REVISION_DIGITS} lower-case hexadecimal digits",
        shown(text)
    )))
}

fn check_pointer(text: &str) -> Result<(), NameError> {
    sized("the JSON pointer", text, TEXT_BYTES_MAX)?;
    let escapes_fit = |part: &str| part.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    let mut parts = text.split('/');
    if parts.next() == Some("") && parts.all(|part| !part.is_empty() && escapes_fit(part)) {
        return Ok(());
    }
    Err(NameError(format!(
        "`{}` is not a JSON pointer: expected a path such as `/spec/replicas`, with `~1` for `/` and `~0` for `~` \
         inside a name",
        shown(text)
    )))
}

fn check_jq(text: &str) -> Result<(), NameError> {
    sized("the path", text, TEXT_BYTES_MAX)?;
    let read = FieldPath::of_jq(text).map(drop);
    read.map_err(|error| NameError(format!("`{}` is not a path that can be used: {error}", shown(text))))
}

fn check_expression(text: &str) -> Result<(), NameError> {
    sized("the expression", text, EXPRESSION_BYTES_MAX)?;
    muster_cel::Program::compile(text).map(drop).map_err(|error| NameError(error.to_string()))
}
