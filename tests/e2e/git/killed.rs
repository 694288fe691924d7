//! A process that is killed in the middle of a fetch leaves a mirror that opens, reads and fetches.

use std::process::{Command, Stdio};
use std::time::Duration;

use muster_git::{Mirror, Remote};
use muster_tests::git::Options;

use super::proxy::{Mood, Proxy};
use super::{Site, noise, read};

/// Set for the process that is to be killed: directory and URL.
const DIRECTORY: &str = "MUSTER_TEST_MIRROR";
const URL: &str = "MUSTER_TEST_URL";

/// Not a test by itself: what the killed process does. Without its variables it does nothing.
#[test]
fn fetches_until_it_is_killed() {
    let (Ok(directory), Ok(url)) = (std::env::var(DIRECTORY), std::env::var(URL)) else { return };
    let mut mirror = Mirror::open(directory.as_ref(), Remote::new(&url).unwrap()).unwrap();
    let _ = mirror.fetch(&["main"]);
}

#[test]
fn a_fetch_can_be_killed_at_any_point() {
    let (site, one) = Site::start(Options::default());
    site.mirror().fetch(&["main"]).unwrap();
    let two = site.commit(&[("noise2", &noise(40_000))]);
    // From the first answer over the listing into the pack.
    for after in [0, 100, 300, 700, 1_500, 20_000, 60_000, 100_000] {
        let proxy = Proxy::start(&site.server.url("team/fleet"), Mood::StallAfter(after));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["git::killed::fetches_until_it_is_killed", "--exact", "--nocapture"])
            .env(DIRECTORY, site.directory())
            .env(URL, proxy.url("team/fleet.git"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        proxy.wait_for_stall(Duration::from_secs(30));
        child.kill().unwrap();
        child.wait().unwrap();

        // The lock went with the process; the URL of the proxy is another one, so references are asked for anew.
        let mirror = Mirror::open(&site.directory(), site.remote()).unwrap();
        assert_eq!(mirror.damage(), None, "killed after {after} bytes");
        assert_eq!(read(&mirror, &one).files().len(), 2, "killed after {after} bytes");
    }
    let mut mirror = site.mirror();
    assert_eq!(mirror.fetch(&["main"]).unwrap().heads["main"], two);
    assert_eq!(read(&mirror, &two).files().len(), 3);
    let packs = std::fs::read_dir(site.directory().join("1.git/objects/pack")).unwrap().flatten();
    let left: Vec<_> = packs.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert!(left.iter().all(|name| name.ends_with(".pack") || name.ends_with(".idx")), "{left:?}");
}
