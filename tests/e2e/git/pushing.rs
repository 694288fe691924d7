//! Commits get onto a branch of a real server, one after another, whoever else pushes.

use muster_git::{Credentials, Draft, GitError, Mirror, Person, Pushed, Revision};
use muster_tests::git::{self, Fault, Options};

use super::Site;

fn draft(path: &str, text: &str) -> Draft {
    let person = Person { name: "Muster".into(), email: "hub@example.org".into() };
    Draft {
        files: [(path.to_owned(), Some(text.as_bytes().to_vec()))].into(),
        message: format!("Write {path}"),
        author: person.clone(),
        committer: person,
        time: 1_750_000_000,
    }
}

fn head(site: &Site) -> Revision {
    site.repository.resolve("muster").unwrap().parse().unwrap()
}

#[test]
fn a_commit_is_pushed_over_http_and_https() {
    for tls in [false, true] {
        let (site, _) = Site::start(Options { tls, ..Options::default() });
        let mut mirror = site.mirror();
        let first = mirror.push("muster", None, &draft("a", "1")).unwrap();
        assert_eq!(first, Pushed::Done(head(&site)));
        mirror.fetch(&["main", "muster"]).unwrap();
        let before = site.server.counts();
        let second = mirror.push("muster", Some(&head(&site)), &draft("b", "2")).unwrap();
        let after = site.server.counts();
        assert_eq!((after.requests - before.requests, after.pushes - before.pushes), (2, 1));
        assert_eq!(second, Pushed::Done(head(&site)));
        site.repository.git(&["fsck", "--strict", "muster"]).unwrap();
        let files = site.repository.git(&["ls-tree", "-r", "--name-only", "muster"]).unwrap();
        assert_eq!(files, "a\nb\n");
    }
}

#[test]
fn of_many_at_once_each_gets_through_and_none_is_lost() {
    const WRITERS: usize = 4;
    const COMMITS: usize = 5;
    let (site, _) = Site::start(Options::default());
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let site = &site;
            scope.spawn(move || {
                let directory = site.server.scratch().join(format!("mirror-{writer}"));
                let mut mirror = Mirror::open(&directory, site.remote()).unwrap();
                for number in 0..COMMITS {
                    let draft = draft(&format!("{writer}/{number}"), "x");
                    loop {
                        let base = mirror.fetch(&["muster"]).unwrap().heads.get("muster").copied();
                        if let Pushed::Done(_) = mirror.push("muster", base.as_ref(), &draft).unwrap() {
                            break;
                        }
                    }
                }
            });
        }
    });
    let count = site.repository.git(&["rev-list", "--count", "muster"]).unwrap();
    assert_eq!(count.trim(), (WRITERS * COMMITS).to_string());
    let files = site.repository.git(&["ls-tree", "-r", "--name-only", "muster"]).unwrap();
    assert_eq!(files.lines().count(), WRITERS * COMMITS);
}

#[test]
fn what_is_in_the_way_is_told_apart() {
    let password =
        |password: &str| Some(git::Credentials::Basic { user: "bot".into(), password: password.into() });
    let (mut site, _) = Site::start(Options { credentials: password("right"), ..Options::default() });
    let file = site.server.scratch().join("credentials");
    std::fs::write(&file, "bot:right\n").unwrap();
    let mut remote = site.remote();
    remote.credentials = Some(Credentials::File(file));
    let mut mirror = site.mirror_of(remote);
    mirror.push("muster", None, &draft("a", "1")).unwrap();
    mirror.fetch(&["muster"]).unwrap();
    let base = head(&site);

    site.server.set_credentials(password("rotated"));
    let error = mirror.push("muster", Some(&base), &draft("b", "2")).unwrap_err();
    assert!(matches!(error, GitError::Authentication { .. }), "{error}");
    site.server.set_credentials(password("right"));

    site.repository.git(&["config", "http.receivepack", "false"]).unwrap();
    let error = mirror.push("muster", Some(&base), &draft("b", "2")).unwrap_err();
    assert!(matches!(error, GitError::Authentication { .. }), "a server that is read only: {error}");
    site.repository.git(&["config", "http.receivepack", "true"]).unwrap();

    for fault in [Fault::Refuse, Fault::WrongContent] {
        site.server.set_fault(fault);
        let error = mirror.push("muster", Some(&base), &draft("b", "2")).unwrap_err();
        assert!(!matches!(error, GitError::PushRefused { .. }), "{error}");
        site.server.set_fault(Fault::Healthy);
    }
    site.server.stop();
    let error = mirror.push("muster", Some(&base), &draft("b", "2")).unwrap_err();
    assert!(matches!(error, GitError::Unreachable { .. }) && error.is_temporary(), "{error}");
    assert_eq!(head(&site), base);
    site.server.start_again().unwrap();
    assert!(matches!(mirror.push("muster", Some(&base), &draft("b", "2")), Ok(Pushed::Done(_))));
}
