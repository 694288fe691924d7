//! Does rendering stand any tree of files, and give the same for the same?

use std::collections::BTreeMap;

use muster_render::{Limits, render};
use proptest::prelude::*;

fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "apiVersion: v1\n",
        "kind: ConfigMap\n",
        "kind: List\n",
        "items:\n",
        "- ",
        "  ",
        "metadata: {name: a}\n",
        "metadata:\n",
        "  name: b\n",
        "---\n",
        "data: {a: b}\n",
        "{",
        "}",
        "\"a\": 1",
        ": ",
        "[",
        "]",
        "# c\n",
        "apiVersion: muster.dev/v1alpha1\n",
        "null\n",
        "&a ",
        "*a",
        "<<: ",
        "|\n",
        "\n",
    ])
}

fn kustomization_piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "resources: [a.yaml]\n",
        "resources: [b]\n",
        "resources: [a.yaml, b]\n",
        "namePrefix: x-\n",
        "nameSuffix: $(V)\n",
        "namespace: n\n",
        "commonLabels: {a: b}\n",
        "labels: [{pairs: {a: b}, includeSelectors: true, fields: [{path: data/x/y, create: true}]}]\n",
        "commonAnnotations: {c: d}\n",
        "configMapGenerator: [{name: g, files: [a.yaml], envs: [a.yaml]}]\n",
        "configMapGenerator: [{name: c, behavior: merge, literals: [x=z]}]\n",
        "secretGenerator: [{name: s, literals: [p=q], type: \"\"}]\n",
        "patches: [{path: a.yaml}]\n",
        "patches: [{path: a.yaml, target: {name: .*}}]\n",
        "patches: [{patch: \"[{op: add, path: /data/-, value: 1}]\", target: {}}]\n",
        "patchesStrategicMerge: [a.yaml]\n",
        "images: [{name: b, newTag: c}]\n",
        "replicas: [{name: c, count: 3}]\n",
        "replacements: [{source: {kind: ConfigMap, fieldPath: data}, targets: [{select: {}, fieldPaths: [a.*.0, '[b=c].d'], options: {create: true, delimiter: x, index: 2}}]}]\n",
        "vars: [{name: V, objref: {apiVersion: v1, kind: ConfigMap, name: c}, fieldref: {fieldPath: 'data[0].x'}}]\n",
        "configurations: [a.yaml]\n",
        "crds: [a.yaml]\n",
        "transformers: [a.yaml]\n",
        "buildMetadata: [originAnnotations, transformerAnnotations, managedByLabel]\n",
        "kind: Component\n",
        "---\n",
        "sortOptions: {order: fifo}\n",
        "foo\n",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_objects_are_whole(
        texts in prop::collection::btree_map("[ab](/[ab.]{1,2}){0,2}\\.(yaml|yml|json|md)", prop::collection::vec(piece(), 0..30), 0..4),
        path in prop::sample::select(vec!["", "a", "b", ".", "a/b", "a.yaml"]),
    ) {
        let files: BTreeMap<String, Vec<u8>> = texts.into_iter().map(|(file, pieces)| (file, pieces.concat().into_bytes())).collect();
        let rendered = render(&files, path, &Limits::default());
        prop_assert_eq!(&rendered, &render(&files, path, &Limits::default()));
        match rendered {
            Ok(objects) => for object in objects {
                prop_assert!(!object.kind().is_empty() && !object.name().is_empty() && !object.api_version().is_empty());
                prop_assert!(files.contains_key(&object.file) && object.line > 0);
            },
            Err(errors) => prop_assert!(!errors.0.is_empty()),
        }
    }

    #[test]
    fn no_kustomization_makes_it_panic(
        fields in prop::collection::vec(kustomization_piece(), 0..12),
        manifest in prop::collection::vec(piece(), 0..20),
    ) {
        let files = BTreeMap::from([
            ("kustomization.yaml".to_owned(), fields.concat().into_bytes()),
            ("b/kustomization.yaml".to_owned(), b"resources: [c.yaml]\nnamePrefix: p-\n".to_vec()),
            ("b/c.yaml".to_owned(), b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {x: y, n: 1}\n".to_vec()),
            ("a.yaml".to_owned(), manifest.concat().into_bytes()),
        ]);
        let rendered = render(&files, "", &Limits::default());
        prop_assert_eq!(&rendered, &render(&files, "", &Limits::default()));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = render(&BTreeMap::from([("a.yaml".to_owned(), bytes)]), "", &Limits::default());
    }
}
