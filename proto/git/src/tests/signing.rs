//! What we sign Git accepts, and what Git signs we accept; nothing else passes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::origin::Origin;
use crate::{AllowedSigners, Draft, GitError, Person, Pushed, SigningKey};

/// A directory with keys; `None` where there is no ssh-keygen to make them, or to be compared with.
fn keys(names: &[(&str, &str)]) -> Option<tempfile::TempDir> {
    let directory = tempfile::tempdir().unwrap();
    for (name, kind) in names {
        let file = directory.path().join(name);
        let mut command = Command::new("ssh-keygen");
        match command.args(["-q", "-t", kind, "-N", "", "-C", name, "-f"]).arg(&file).status() {
            Ok(made) => assert!(made.success()),
            Err(error) if std::env::var("CI").as_deref() == Ok("true") => panic!("ssh-keygen: {error}"),
            Err(error) => {
                eprintln!("skipped, for want of ssh-keygen: {error}");
                return None;
            }
        }
    }
    Some(directory)
}

fn allowed(directory: &Path, names: &[&str]) -> (AllowedSigners, PathBuf) {
    let line = |name: &&str| {
        format!(
            "{name}@example.org {}",
            std::fs::read_to_string(directory.join(format!("{name}.pub"))).unwrap()
        )
    };
    let file = directory.join(format!("allowed-{}", names.join("-")));
    std::fs::write(&file, names.iter().map(line).collect::<String>()).unwrap();
    (AllowedSigners::read(&file).unwrap(), file)
}

fn draft(text: &str) -> Draft {
    let person = |name: &str| Person { name: name.to_owned(), email: "hub@example.org".to_owned() };
    Draft {
        files: [("pin.yaml".to_owned(), Some(text.as_bytes().to_vec()))].into(),
        message: format!("Promote {text}\n\nBecause.\n"),
        author: person("Ann"),
        committer: person("muster-hub"),
        time: 1_750_000_123,
    }
}

#[test]
fn git_accepts_what_we_sign() {
    let Some(directory) = keys(&[("hub", "ed25519"), ("other", "ed25519")]) else { return };
    let (signers, file) = allowed(directory.path(), &["hub"]);
    let origin = Origin::new();
    let mut mirror = origin.mirror();
    mirror.sign_with(Some(Arc::new(SigningKey::read(&directory.path().join("hub")).unwrap())));
    let Pushed::Done(signed) = mirror.push("muster", None, &draft("one")).unwrap() else { panic!() };
    let setting = format!("gpg.ssh.allowedSignersFile={}", file.display());
    origin.git(&["-c", "gpg.format=ssh", "-c", &setting, "verify-commit", &signed.to_string()], "");
    origin.git(&["fsck", "--strict", "--full"], "");
    mirror.fetch(&["muster"]).unwrap();
    assert_eq!(mirror.signed_by(&signed, &signers).unwrap(), "hub@example.org");
    let (others, _) = allowed(directory.path(), &["other"]);
    let refused = mirror.signed_by(&signed, &others).unwrap_err();
    assert!(matches!(refused, GitError::Unsigned { .. }), "{refused}");
    let key = SigningKey::read(&directory.path().join("hub")).unwrap();
    assert!(
        refused.to_string().contains(&format!("key {}, which is nobody's", key.fingerprint())),
        "{refused}"
    );
    assert_eq!(mirror.signed_by(&signed, &others.and("hub", &key)).unwrap(), "hub");

    mirror.sign_with(None);
    let Pushed::Done(unsigned) = mirror.push("muster", Some(&signed), &draft("two")).unwrap() else {
        panic!()
    };
    mirror.fetch(&["muster"]).unwrap();
    let refused = mirror.signed_by(&unsigned, &signers).unwrap_err().to_string();
    assert!(refused.contains("it has no signature"), "{refused}");
}

#[test]
fn we_accept_what_git_signs_and_nothing_that_was_changed_since() {
    let Some(directory) = keys(&[("ann", "ed25519"), ("bob", "rsa"), ("eve", "ecdsa")]) else { return };
    let origin = Origin::new();
    let mut mirror = origin.mirror();
    let (signers, _) = allowed(directory.path(), &["ann", "bob"]);
    let commit = |name: &str| {
        let key = directory.path().join(name).display().to_string();
        let tree = origin.git(&["mktree"], "");
        let arguments =
            ["-c", "gpg.format=ssh", "-c", &format!("user.signingKey={key}"), "commit-tree", "-S", &tree];
        let made = origin.git(&[&arguments[..], &["-m", "signed"]].concat(), "");
        origin.git(&["update-ref", &format!("refs/heads/{name}"), &made], "");
        made
    };
    for name in ["ann", "bob", "eve"] {
        let made = commit(name);
        mirror.fetch(&[name]).unwrap();
        let found = mirror.signed_by(&made.parse().unwrap(), &signers);
        match name {
            "eve" => assert!(found.unwrap_err().to_string().contains("not signed by anybody")),
            _ => assert_eq!(found.unwrap(), format!("{name}@example.org")),
        }
    }
    // The same signature over another message.
    let text = origin.git(&["cat-file", "commit", "ann"], "");
    let forged = text.replace("\n\nsigned", "\n\nforged") + "\n";
    let forged = origin.git(&["hash-object", "-t", "commit", "-w", "--stdin"], &forged);
    origin.git(&["update-ref", "refs/heads/forged", &forged], "");
    mirror.fetch(&["forged"]).unwrap();
    let refused = mirror.signed_by(&forged.parse().unwrap(), &signers).unwrap_err().to_string();
    assert!(refused.contains("is not of this commit"), "{refused}");
}

#[test]
fn a_key_that_cannot_sign_is_told_without_its_content() {
    let Some(directory) = keys(&[("rsa", "rsa"), ("locked", "ed25519")]) else { return };
    let locked = directory.path().join("locked");
    let change = ["-q", "-p", "-P", "", "-N", "secret", "-f"];
    assert!(Command::new("ssh-keygen").args(change).arg(&locked).status().unwrap().success());
    for (name, expected) in
        [("rsa", "only keys of the type ed25519"), ("locked", "needs a passphrase"), ("none", "")]
    {
        let error = SigningKey::read(&directory.path().join(name)).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(name), "{error}");
    }
    let public = SigningKey::read(&directory.path().join("rsa.pub")).unwrap_err().to_string();
    assert!(public.contains("no private key") && !public.contains("AAAA"), "{public}");
}
