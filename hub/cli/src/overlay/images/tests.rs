use super::*;

const FROM: &str = "images:\n- name: web\n  newTag: \"1.10\"\n- {name: api, newName: registry.example.com/api, digest: sha256:ab}\n";

fn carried(to: &str) -> String {
    carry(FROM, to, &[]).unwrap().0
}

#[test]
fn values_change_and_nothing_else_does() {
    let to = "# prod\nresources: [../base]   # shared\nimages:\n  - name: web # the shop\n    newTag: '1.9' # keep\n  - \
              name: api\n    newName: registry.example.com/api\n    digest: sha256:aa\n\nnamePrefix:   p-\n";
    assert_eq!(carried(to), to.replace("'1.9'", "'1.10'").replace(":aa", ":ab"));
    let (_, changes) = carry(FROM, to, &["web".to_owned()]).unwrap();
    let expected = ImageChange { name: "web".into(), from: "web:1.9".into(), to: "web:1.10".into() };
    assert_eq!(changes, [expected]);
}

#[test]
fn a_tag_gives_way_to_a_digest_and_back() {
    let to = "images:\n- name: web\n  digest: sha256:cc\n- name: api\n  newTag: v1\n";
    assert_eq!(
        carried(to),
        "images:\n- name: web\n  newTag: \"1.10\"\n- name: api\n  newName: registry.example.com/api\n  digest: sha256:ab\n"
    );
    let both = "images:\n- name: web\n  newTag: \"1\"\n  digest: sha256:cc # pinned\n";
    let (text, _) = carry(FROM, both, &["web".to_owned()]).unwrap();
    assert_eq!(text, "images:\n- name: web\n  newTag: \"1.10\"\n");
}

#[test]
fn what_is_not_there_is_added_in_the_way_of_the_file() {
    let (text, changes) = carry(FROM, "images:\n  - {name: web, newTag: v1}\n", &[]).unwrap();
    let api = "  - name: api\n    newName: registry.example.com/api\n    digest: sha256:ab\n";
    assert_eq!(text, format!("images:\n  - {{name: web, newTag: \"1.10\"}}\n{api}"));
    assert_eq!(
        (changes[1].from.as_str(), changes[1].to.as_str()),
        ("", "registry.example.com/api@sha256:ab")
    );
    let (text, _) = carry(FROM, "resources: [../base]", &[]).unwrap();
    let web = "- name: web\n  newTag: \"1.10\"\n";
    assert_eq!(
        text,
        format!("resources: [../base]\nimages:\n{web}{}", api.replace("\n  ", "\n").trim_start())
    );
    let (text, _) = carry("images: [{name: a, digest: d}]", "images:\n- {name: a}\n", &[]).unwrap();
    assert_eq!(text, "images:\n- {name: a, digest: d}\n");
}

#[test]
fn the_same_images_change_nothing() {
    assert_eq!(carry(FROM, FROM, &[]).unwrap(), (FROM.to_owned(), vec![]));
}

#[test]
fn what_cannot_be_edited_is_told_with_its_place() {
    for (from, to, expected) in [
        ("resources: []", "images: []", "names no images"),
        (FROM, "images: []", "empty or written in brackets"),
        (FROM, "images: 3", "images: expected a list, found a number"),
        (FROM, "images:\n- name: web\n  newTag: 1.10\n", "line 3 column 11: newTag: expected a string"),
        (FROM, "a: &x v1\nimages:\n- name: web\n  newTag: *x\n", "not edited"),
        (FROM, "images:\n- name: web\n  newTag: >-\n    v1\n", "not edited"),
        (FROM, "images:\n- newTag: v1\n", "an image without a name"),
        (FROM, "a: 1\n---\nb: 2\n", "expected one document, found 2"),
        (FROM, "images: [", "expected a value here"),
        ("images: {", FROM, "in the overlay to take from"),
    ] {
        let error = carry(from, to, &[]).unwrap_err();
        assert!(error.contains(expected), "{to}: {error}");
    }
    assert!(carry(FROM, FROM, &["db".to_owned()]).unwrap_err().contains("does not name the image db"));
}
