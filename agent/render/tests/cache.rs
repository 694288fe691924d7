//! Does a cache save what it should, and is nothing ever different for it?

use std::{collections::BTreeMap, fs, path::Path};

use muster_render::{Cache, Files, Limits, Object, RenderErrors, Repository, Source, Use, render_app};

const ROOM: usize = 64 << 20;

fn source(path: &str) -> Source {
    Source::at(path)
}

fn put(files: &mut Files, path: &str, text: &str) {
    files.insert(path.to_owned(), text.as_bytes().to_vec());
}

/// Renders with the cache, and checks that it is what comes out without.
fn same(
    cache: &mut Cache,
    limits: &Limits,
    files: &Files,
    source: &Source,
) -> Result<Vec<Object>, RenderErrors> {
    let repository = Repository::new(files);
    let cached = cache.render_app(&repository, source).map(|objects| objects.to_vec());
    let plain = render_app(files, source, limits);
    assert_eq!(cached, plain, "{source:?}\n{:?}", files.keys());
    cached
}

/// What was made and reused while `work` ran.
fn counted(cache: &mut Cache, work: impl FnOnce(&mut Cache)) -> [Use; 3] {
    let before = cache.counts();
    work(cache);
    let after = cache.counts();
    let less = |after: Use, before: Use| Use {
        made: after.made - before.made,
        reused: after.reused - before.reused,
    };
    [less(after.apps, before.apps), less(after.bases, before.bases), less(after.files, before.files)]
}

fn made(made: usize, reused: usize) -> Use {
    Use { made, reused }
}

/// Fifty overlays; the last three are of another base than all others, and both are of a common one.
fn overlays() -> Files {
    let mut files = Files::new();
    put(&mut files, "common/kustomization.yaml", "resources: [a.yaml, b.yaml]\n");
    for name in ["a", "b"] {
        let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
        put(&mut files, &format!("common/{name}.yaml"), &text);
    }
    for base in ["base", "other"] {
        put(
            &mut files,
            &format!("{base}/kustomization.yaml"),
            "resources: [../common, own.yaml]\nnameSuffix: -x\n",
        );
        put(&mut files, &format!("{base}/own.yaml"), "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n");
    }
    for number in 0..50 {
        let base = if number < 47 { "base" } else { "other" };
        let text = format!("resources: [../../{base}]\nnamePrefix: o{number}-\n");
        put(&mut files, &format!("overlays/{number}/kustomization.yaml"), &text);
    }
    files
}

fn render_all(cache: &mut Cache, files: &Files) {
    let repository = Repository::new(files);
    for number in 0..50 {
        let found = cache.render_app(&repository, &source(&format!("overlays/{number}"))).expect("renders");
        assert!(found.iter().all(|object| object.name().starts_with(&format!("o{number}-"))));
    }
}

#[test]
fn one_changed_file_remakes_only_what_depends_on_it() {
    let mut files = overlays();
    let mut cache = Cache::new(Limits::default(), ROOM);
    let first = counted(&mut cache, |cache| render_all(cache, &files));
    assert_eq!(first, [made(50, 0), made(3, 49), made(4, 0)]);
    let again = counted(&mut cache, |cache| render_all(cache, &files));
    assert_eq!(again, [made(0, 50), made(0, 0), made(0, 0)], "nothing changed, nothing is made");

    put(&mut files, "other/own.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: changed}\n");
    let changed = counted(&mut cache, |cache| render_all(cache, &files));
    assert_eq!(
        changed,
        [made(3, 47), made(1, 3), made(1, 0)],
        "a base of three overlays, and in it one file"
    );

    put(
        &mut files,
        "overlays/7/kustomization.yaml",
        "resources: [../../base]\nnamePrefix: o7-\nnamespace: shop\n",
    );
    put(&mut files, "overlays/7/unused.yaml", "not: looked at\n");
    put(&mut files, "elsewhere/kustomization.yaml", "resources: []\n");
    let changed = counted(&mut cache, |cache| render_all(cache, &files));
    assert_eq!(changed, [made(1, 49), made(0, 1), made(0, 0)]);
    let objects = cache.render_app(&Repository::new(&files), &source("overlays/7")).expect("renders");
    assert!(objects.iter().all(|object| object.namespace() == Some("shop")));
}

#[test]
fn files_that_appear_and_vanish_are_noticed() {
    let mut files = overlays();
    let limits = Limits::default();
    let mut cache = Cache::new(limits, ROOM);
    same(&mut cache, &limits, &files, &source("overlays/1")).expect("renders");
    put(&mut files, "base/kustomization.yml", "resources: []\n");
    let said = same(&mut cache, &limits, &files, &source("overlays/1")).expect_err("two kustomizations");
    assert!(said.to_string().contains("multiple kustomization files"), "{said}");
    files.remove("base/kustomization.yml");
    same(&mut cache, &limits, &files, &source("overlays/1")).expect("renders again");
    files.remove("base/own.yaml");
    same(&mut cache, &limits, &files, &source("overlays/1")).expect_err("a file is missing");
    // A directory takes the file's place.
    put(&mut files, "base/own.yaml/kustomization.yaml", "resources: [../../common/c]\n");
    put(&mut files, "common/c/kustomization.yaml", "configMapGenerator: [{name: g}]\n");
    same(&mut cache, &limits, &files, &source("overlays/1")).expect("a base of that name");
}

#[test]
fn plain_directories_are_read_file_by_file() {
    let mut files = Files::new();
    for number in 0..20 {
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{number}}}\ndata: {{a: '${{x}}'}}\n"
        );
        put(&mut files, &format!("app/{number:02}.yaml"), &text);
    }
    let limits = Limits::default();
    let mut cache = Cache::new(limits, ROOM);
    let source = |x: &str| Source {
        path: "app".to_owned(),
        substitutions: Some(BTreeMap::from([("x".to_owned(), x.to_owned())])),
    };
    let counts = counted(&mut cache, |cache| {
        for x in ["one", "two", "one"] {
            let objects = same(cache, &limits, &files, &source(x)).expect("renders");
            assert_eq!(objects[0].value["data"]["a"], x);
        }
    });
    assert_eq!(counts, [made(2, 1), made(0, 0), made(20, 20)]);
    put(&mut files, "app/05.yaml", "kind: nothing\n");
    put(&mut files, "app/20.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: new}\n");
    let counts = counted(&mut cache, |cache| {
        same(cache, &limits, &files, &source("one")).expect_err("is broken");
        same(cache, &limits, &files, &source("one")).expect_err("is still broken");
    });
    assert_eq!(counts, [made(1, 1), made(0, 0), made(2, 19)], "errors are kept too");
}

/// Who names a base decides whether it may be built there.
#[test]
fn limits_and_cycles_are_checked_where_a_base_is_used_again() {
    let mut files = Files::new();
    put(&mut files, "z/kustomization.yaml", "resources: [../b]\n");
    put(&mut files, "deep/kustomization.yaml", "resources: [../z]\n");
    put(&mut files, "b/kustomization.yaml", "resources: [../c]\n");
    put(&mut files, "c/kustomization.yaml", "configMapGenerator: [{name: g}, {name: h}]\n");
    put(&mut files, "c/sub/kustomization.yaml", "resources: [../../b]\n");
    put(&mut files, "twice/kustomization.yaml", "resources: [../z, x]\n");
    put(&mut files, "twice/x/kustomization.yaml", "resources: [../../z]\nnamePrefix: x-\n");
    put(&mut files, "origin/kustomization.yaml", "resources: [../z]\nbuildMetadata: [originAnnotations]\n");
    let cases = [
        Limits::default(),
        Limits { bases_depth_max: 3, ..Limits::default() },
        Limits { objects_max: 3, ..Limits::default() },
        Limits { kustomizations_max: 6, ..Limits::default() },
    ];
    for limits in cases {
        let mut cache = Cache::new(limits, ROOM);
        let outcomes: Vec<bool> = ["z", "deep", "c/sub", "twice", "origin", "z"]
            .map(|path| same(&mut cache, &limits, &files, &source(path)).is_ok())
            .to_vec();
        assert!(outcomes[0] && !outcomes[2], "{outcomes:?}: c/sub goes in a circle");
    }
}

#[test]
fn its_memory_has_a_bound() {
    let files = overlays();
    let limits = Limits::default();
    for bytes_max in [0, 1000, 100_000, ROOM] {
        let mut cache = Cache::new(limits, bytes_max);
        for round in 0..2 {
            for number in 0..50 {
                same(&mut cache, &limits, &files, &source(&format!("overlays/{number}"))).expect("renders");
                assert!(cache.bytes() <= bytes_max, "{} of {bytes_max} in round {round}", cache.bytes());
            }
        }
        assert_eq!(cache.counts().evicted > 0, bytes_max == 100_000, "{:?}", cache.counts());
    }
}

fn read_below(directory: &Path, prefix: &str, files: &mut Files) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let entry = entry.expect("an entry");
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            read_below(&entry.path(), &format!("{path}/"), files);
        } else {
            files.insert(path, fs::read(entry.path()).expect("a file"));
        }
    }
}

/// The repositories that are compared with kubectl. Most have the same few names of directories, so
/// one cache for all of them has to tell them apart by content alone.
fn corpus() -> Vec<Files> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/render");
    let mut all = Files::new();
    read_below(&root, "", &mut all);
    let mut cases: BTreeMap<String, Files> = BTreeMap::new();
    for (path, bytes) in all {
        if let Some((group, rest)) = path.split_once('/')
            && let Some((case, file)) = rest.split_once('/')
        {
            cases.entry(format!("{group}/{case}")).or_default().insert(file.to_owned(), bytes);
        }
    }
    cases.into_values().collect()
}

/// A small generator of numbers, so that each run makes the same edits.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % count.max(1)
    }
}

/// Changes one file in one of the ways in which people and accidents do.
fn edit(files: &mut Files, dice: &mut Dice) {
    let names: Vec<String> = files.keys().cloned().collect();
    if names.is_empty() {
        return;
    }
    let name = &names[dice.below(names.len())];
    let content = files[name].clone();
    let changed = match dice.below(6) {
        0 => {
            files.remove(name);
            return;
        }
        1 => [content.as_slice(), b"\n# a comment\n"].concat(),
        2 => content[..dice.below(content.len() + 1)].to_vec(),
        3 => files[&names[dice.below(names.len())]].clone(),
        4 => {
            files.insert(format!("{name}.yaml/kustomization.yaml"), b"resources: []\n".to_vec());
            return;
        }
        _ => String::from_utf8_lossy(&content).replacen("name: ", "name: x", 1).into_bytes(),
    };
    files.insert(name.clone(), changed);
}

#[test]
fn nothing_is_different_with_a_cache() {
    let cases = corpus();
    assert!(cases.len() > 300, "only {} repositories were found", cases.len());
    let limits = Limits::default();
    let mut dice = Dice(1);
    for room in [ROOM, 200_000] {
        let mut cache = Cache::new(limits, room);
        for original in &cases {
            let mut files = original.clone();
            let entry = if files.keys().any(|file| file.to_ascii_lowercase().starts_with("kustomization")) {
                ""
            } else {
                "overlay"
            };
            for _ in 0..3 {
                let _ = same(&mut cache, &limits, &files, &source(entry));
                edit(&mut files, &mut dice);
            }
            let _ = same(&mut cache, &limits, original, &source(entry));
        }
        let counts = cache.counts();
        assert!(counts.apps.reused > 0 && counts.bases.reused > 0 && counts.files.reused > 0, "{counts:?}");
    }
}
