//! How long does rendering take, beside `kubectl kustomize`?
//!
//! The corpus of tests/render and two large kustomizations, each by kubectl as one process a
//! repository and by muster-render in this process. Files are read before the clock starts for
//! muster-render, as the agent has them in memory; kubectl reads them from a disk cache.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use muster_render::{Cache, Files, Limits, Source, render};

/// So often each repository is rendered in process; the median counts.
const ROUNDS: usize = 5;

struct Repository {
    directory: PathBuf,
    files: Files,
    entry: &'static str,
}

/// Prints the tables.
pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let scratch = std::env::temp_dir().join(format!("muster-bench-render-{}", std::process::id()));
    let corpus = corpus(&Path::new(env!("CARGO_MANIFEST_DIR")).join("render"))?;
    println!(
        "| kustomizations | kubectl kustomize, as processes | muster-render, in process | times faster |"
    );
    println!("|---|---|---|---|");
    row(&format!("the corpus, {} repositories", corpus.len()), &corpus)?;
    for objects in [1_000, 5_000] {
        let directory = scratch.join(objects.to_string());
        write_large(&directory, objects)?;
        row(&format!("one of {objects} objects"), &[Repository::read(&directory)?])?;
    }
    fs::remove_dir_all(&scratch)?;
    println!();
    overlays();
    println!();
    println!("Peak memory of this process, inputs and results of all of the above: {}", peak()?);
    Ok(())
}

fn row(what: &str, repositories: &[Repository]) -> Result<(), Box<dyn Error>> {
    let begin = Instant::now();
    for repository in repositories {
        let mut kubectl = Command::new("kubectl");
        kubectl.arg("kustomize").arg(repository.directory.join(repository.entry));
        kubectl.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    }
    let theirs = begin.elapsed();
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            for repository in repositories {
                // Refusals are part of the corpus and take their time as well.
                let _ = std::hint::black_box(render(&repository.files, repository.entry, &Limits::default()));
            }
            begin.elapsed()
        })
        .collect();
    rounds.sort();
    let ours = rounds[ROUNDS / 2];
    let times = theirs.as_secs_f64() / ours.as_secs_f64();
    println!("| {what} | {} | {} | {times:.0} |", milliseconds(theirs), milliseconds(ours));
    Ok(())
}

/// Overlays that share one large base, and what the cache saves of them.
fn overlays() {
    const OVERLAYS: usize = 50;
    let mut files = Files::new();
    for base in ["base", "other"] {
        files.insert(format!("{base}/all.yaml"), large_manifests(60).into_bytes());
        files.insert(format!("{base}/kustomization.yaml"), b"resources: [all.yaml]\n".to_vec());
    }
    let sources: Vec<Source> = (0..OVERLAYS).map(|number| Source::at(format!("overlays/{number}"))).collect();
    for (number, source) in sources.iter().enumerate() {
        let base = if number < 3 { "base" } else { "other" };
        let text = format!("resources: [../../{base}]\nnamePrefix: o{number}-\n");
        files.insert(format!("{}/kustomization.yaml", source.path), text.into_bytes());
    }
    let mut cache = Cache::new(Limits::default(), 256 << 20);
    println!("| {OVERLAYS} overlays of 60 objects each | all of them | apps made |");
    println!("|---|---|---|");
    let mut pass = |what: &str, files: &Files| {
        let before = cache.counts().apps.made;
        let begin = Instant::now();
        let repository = muster_render::Repository::new(files);
        for source in &sources {
            let _ = std::hint::black_box(cache.render_app(&repository, source));
        }
        println!("| {what} | {} | {} |", milliseconds(begin.elapsed()), cache.counts().apps.made - before);
    };
    pass("nothing rendered before", &files);
    pass("nothing changed", &files);
    files.insert("base/all.yaml".to_owned(), large_manifests(57).into_bytes());
    pass("one file changed, in the base of 3 of them", &files);
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

impl Repository {
    fn read(directory: &Path) -> Result<Repository, Box<dyn Error>> {
        let mut files = Files::new();
        read_below(directory, "", &mut files)?;
        let names = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
        let entry = if names.iter().any(|name| files.contains_key(*name)) { "" } else { "overlay" };
        Ok(Repository { directory: directory.to_owned(), files, entry })
    }
}

fn read_below(directory: &Path, prefix: &str, files: &mut Files) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            read_below(&entry.path(), &format!("{path}/"), files)?;
        } else {
            files.insert(path, fs::read(entry.path())?);
        }
    }
    Ok(())
}

fn corpus(root: &Path) -> Result<Vec<Repository>, Box<dyn Error>> {
    let mut repositories = Vec::new();
    for group in fs::read_dir(root)? {
        let group = group?.path();
        if group.is_dir() {
            for case in fs::read_dir(group)? {
                repositories.push(Repository::read(&case?.path())?);
            }
        }
    }
    repositories.sort_by(|a, b| a.directory.cmp(&b.directory));
    Ok(repositories)
}

/// A kustomization of so many objects, with a prefix, a namespace, labels, an image and a patch of every Deployment.
fn write_large(directory: &Path, objects: usize) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join("all.yaml"), large_manifests(objects))?;
    let kustomization = "resources: [all.yaml]\nnamePrefix: big-\nnamespace: large\ncommonLabels: {team: a}\n\
        images: [{name: nginx, newTag: \"1.27\"}]\npatches:\n- target: {kind: Deployment}\n  patch: |\n    \
        apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: any}\n    spec: {replicas: 2}\n";
    fs::write(directory.join("kustomization.yaml"), kustomization)?;
    Ok(())
}

/// So many objects in one file: a Deployment, its Service and its ConfigMap, again and again.
fn large_manifests(objects: usize) -> String {
    let mut text = String::new();
    for number in 0..objects.div_ceil(3) {
        let name = format!("app-{number}");
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: 1\n  \
             selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    \
             spec:\n      containers:\n      - name: main\n        image: nginx:1.25\n        \
             envFrom: [{{configMapRef: {{name: {name}}}}}]\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  selector: {{app: {name}}}\n  \
             ports: [{{port: 80}}]\n---\n\
             apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: b}}\n---\n"
        );
    }
    text
}

/// The most memory this process ever had, as Linux counts it.
fn peak() -> Result<String, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("not known");
    Ok(line.trim().to_owned())
}
