//! What the command line says of a repository, held against kubectl, an API server and an agent.

mod applied;
mod printed;
mod schema;

use std::path::Path;
use std::time::Duration;

use muster_tests::process::Launch;

/// Runs `muster` in a directory. Its exit code and what it prints.
async fn muster(directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let launch = Launch::binary("muster").unwrap().args(arguments).directory(directory).quiet();
    let output = launch.run(Duration::from_secs(60)).await.unwrap();
    (output.code(), output.stdout)
}

/// Runs kubectl in a directory, which is its home too; it must succeed. What it prints.
async fn kubectl(program: &Path, directory: &Path, arguments: &[&str]) -> String {
    let launch = Launch::command(program).args(arguments).directory(directory).env("HOME", directory).quiet();
    launch.run(Duration::from_secs(120)).await.unwrap().success()
}

fn write(directory: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = directory.join(path);
        std::fs::create_dir_all(path.parent().expect("a file is in a directory")).unwrap();
        std::fs::write(path, text).unwrap();
    }
}
