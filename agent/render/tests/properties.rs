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
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = render(&BTreeMap::from([("a.yaml".to_owned(), bytes)]), "", &Limits::default());
    }
}
