//! The mirror of muster-git against a real Git server over HTTP: does it follow, prove who it is, and survive
//! whatever the server and the network do?

mod access;
mod faults;
mod figures;
mod following;
mod killed;
mod proxy;
mod pushing;

use std::path::PathBuf;

use muster_git::{Mirror, ReadLimits, Remote, Revision, Tree};
use muster_tests::git::{Options, Repository, Server};

/// A Git server with one repository, and the place of a mirror of it.
struct Site {
    server: Server,
    repository: Repository,
}

impl Site {
    /// A server with one commit in its repository.
    fn start(options: Options) -> (Site, Revision) {
        let server = Server::start(options).unwrap();
        let repository = server.create("team/fleet").unwrap();
        let site = Site { server, repository };
        let head = site.commit(&[("muster.yaml", "kind: Fleet\n"), ("noise", &noise(20_000))]);
        (site, head)
    }

    fn commit(&self, files: &[(&str, &str)]) -> Revision {
        self.repository.commit(files, "Change").unwrap().parse().unwrap()
    }

    fn remote(&self) -> Remote {
        let mut remote = Remote::new(&self.server.url("team/fleet")).unwrap();
        remote.ca_file = self.server.ca_file().map(PathBuf::from);
        remote
    }

    fn directory(&self) -> PathBuf {
        self.server.scratch().join("mirror")
    }

    fn mirror(&self) -> Mirror {
        self.mirror_of(self.remote())
    }

    fn mirror_of(&self, remote: Remote) -> Mirror {
        Mirror::open(&self.directory(), remote).unwrap()
    }
}

/// Text that does not become much smaller when packed.
fn noise(words: u32) -> String {
    (0..words).map(|n| format!("{:08x}", n.wrapping_mul(2_654_435_761).rotate_left(n % 31))).collect()
}

fn read(mirror: &Mirror, revision: &Revision) -> Tree {
    mirror.read(revision, "", &ReadLimits::default()).unwrap()
}
