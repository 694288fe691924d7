use super::testing::{desired, resource};
use super::*;

fn key(kind: &str, namespace: &str, name: &str) -> ObjectKey {
    ObjectKey::new(GroupKind::parse(kind).unwrap(), namespace, name)
}

/// A case: what is wanted (`!` marks what is in sync), what is surplus (`~` marks what is going, `=` what is
/// not to be deleted now, `+` what never is), the parent's kinds.
struct Case<'a> {
    wanted: &'a [&'a str],
    surplus: &'a [&'a str],
    parent: Option<&'a str>,
    may_prune: bool,
    removed: bool,
    prune: bool,
    /// `spec.sync.pruneLimit`, in percent.
    limit: u8,
    kinds: Kinds,
}

fn parse_key(text: &str) -> ObjectKey {
    let parts: Vec<_> = text.trim_start_matches(['!', '~', '=', '+']).split('/').collect();
    match parts.as_slice() {
        [kind, name] => key(kind, "", name),
        [kind, namespace, name] => key(kind, namespace, name),
        _ => panic!("{text}"),
    }
}

fn print(case: &Case<'_>) -> String {
    let wanted: Vec<_> = case.wanted.iter().map(|text| (parse_key(text), text.starts_with('!'))).collect();
    let desired: Vec<_> = wanted.iter().map(|(key, _)| desired(key)).collect();
    let surplus: Vec<_> = case.surplus.iter().map(|text| (parse_key(text), *text)).collect();
    let resources: Vec<_> = surplus.iter().map(|(key, _)| resource(key)).collect();
    let parent = case.parent.map(|kinds| Parent {
        app: "web".to_owned(),
        kinds: kinds.split_whitespace().filter_map(GroupKind::parse).collect(),
        namespaces: ["demo".to_owned()].into(),
        prune: case.prune,
        ..Parent::empty("web")
    });
    let view = View {
        app: "web",
        home: "muster-system",
        prune: case.prune,
        prune_limit_percent: case.limit,
        is_known: true,
        staying: case.wanted.iter().filter(|text| text.starts_with('!')).count(),
        account: None,
        namespace: Some("demo"),
        parent: parent.as_ref(),
        wanted: wanted.iter().map(|(key, _)| key).collect(),
        apply: wanted.iter().zip(&desired).filter(|((_, ok), _)| !ok).map(|((key, _), d)| (key, d)).collect(),
        ordered: None,
        kinds: case.kinds,
        surplus: surplus
            .iter()
            .zip(&resources)
            .map(|((key, text), resource)| {
                let (deleting, keep) = (text.starts_with('~'), text.starts_with('='));
                let stays = text.starts_with('+');
                (
                    key,
                    Surplus {
                        resource,
                        uid: "u",
                        wave: 0,
                        deleting,
                        keep,
                        awaited: false,
                        stays,
                        with_contents: false,
                    },
                )
            })
            .collect(),
        may_prune: case.may_prune,
        removed: case.removed,
    };
    plan(&view).to_string()
}

const NOTHING: Case<'_> = Case {
    wanted: &[],
    surplus: &[],
    parent: None,
    may_prune: true,
    removed: false,
    prune: true,
    limit: 50,
    kinds: Kinds::Known,
};

#[test]
fn a_new_app_gets_its_parent_first_and_its_tiers_in_order() {
    let printed = print(&Case {
        wanted: &[
            "Deployment.apps/demo/web",
            "ConfigMap/demo/web",
            "CustomResourceDefinition.apiextensions.k8s.io/things.x.io",
            "Thing.x.io/demo/one",
        ],
        ..NOTHING
    });
    assert_eq!(
        printed,
        "set ConfigMap CustomResourceDefinition.apiextensions.k8s.io Deployment.apps Thing.x.io\n\
         namespace demo\n\
         apply CustomResourceDefinition.apiextensions.k8s.io/things.x.io\n\
         await CustomResourceDefinition.apiextensions.k8s.io/things.x.io\n\
         apply ConfigMap/demo/web\n\
         apply Deployment.apps/demo/web\n\
         apply Thing.x.io/demo/one\n"
    );
}

#[test]
fn what_judges_others_waits_for_kinds_that_are_about_to_be_defined() {
    let webhook = "ValidatingWebhookConfiguration.admissionregistration.k8s.io/w";
    let definition = "CustomResourceDefinition.apiextensions.k8s.io/things.x.io";
    let applied = |wanted: &[&str], kinds| {
        let printed = print(&Case { wanted, kinds, may_prune: false, ..NOTHING });
        printed.contains(&format!("apply {webhook}"))
    };
    assert!(applied(&[webhook, definition], Kinds::Known));
    assert!(!applied(&[webhook, definition], Kinds::Unknown));
    assert!(!applied(&[webhook], Kinds::Asked));
    // A kind that nobody defines holds up nothing for ever.
    assert!(applied(&[webhook], Kinds::Unknown));
}

#[test]
fn nothing_changed_is_nothing_to_do() {
    let case = Case { wanted: &["!ConfigMap/demo/web"], parent: Some("ConfigMap"), ..NOTHING };
    assert_eq!(print(&case), "");
}

#[test]
fn one_drifted_object_is_one_write() {
    let case = Case {
        wanted: &["!ConfigMap/demo/web", "Deployment.apps/demo/web", "!Namespace/demo"],
        parent: Some("ConfigMap Deployment.apps Namespace"),
        ..NOTHING
    };
    assert_eq!(print(&case), "apply Deployment.apps/demo/web\n");
}

#[test]
fn what_left_git_goes_backwards_and_the_parent_narrows_only_when_it_is_gone() {
    let surplus: &[&str] = &["ConfigMap/demo/old", "Deployment.apps/demo/old"];
    let wanted: &[&str] = &["!Service/demo/web"];
    let parent = Some("ConfigMap Deployment.apps Service");
    assert_eq!(
        print(&Case { wanted, surplus, parent, ..NOTHING }),
        "prune Deployment.apps/demo/old\nprune ConfigMap/demo/old\n"
    );
    let going: &[&str] = &["~ConfigMap/demo/old"];
    assert_eq!(print(&Case { wanted, surplus: going, parent, ..NOTHING }), "set ConfigMap Service\n");
    let narrowed = Some("ConfigMap Service");
    assert_eq!(print(&Case { wanted, surplus: going, parent: narrowed, ..NOTHING }), "");
    assert_eq!(print(&Case { wanted, parent: narrowed, ..NOTHING }), "set Service\n");
}

#[test]
fn nothing_is_pruned_while_something_is_unknown_or_prune_is_off() {
    let (wanted, surplus): (&[&str], &[&str]) = (&["Service/demo/web"], &["ConfigMap/demo/old"]);
    let parent = Some("ConfigMap Service");
    let case = Case { wanted, surplus, parent, may_prune: false, ..NOTHING };
    assert_eq!(print(&case), "namespace demo\napply Service/demo/web\n");
    let wanted: &[&str] = &["!Service/demo/web"];
    assert_eq!(print(&Case { wanted, surplus: &["=ConfigMap/demo/old"], parent, ..NOTHING }), "");
    assert_eq!(print(&Case { wanted, surplus, parent, prune: false, ..NOTHING }), "");
}

#[test]
fn a_removed_app_loses_its_members_then_its_parent() {
    let parent = Some("ConfigMap");
    let case = Case { surplus: &["ConfigMap/demo/web"], parent, removed: true, ..NOTHING };
    assert_eq!(print(&case), "prune ConfigMap/demo/web\n");
    assert_eq!(print(&Case { parent, removed: true, ..NOTHING }), "delete set\n");
    assert_eq!(print(&Case { removed: true, ..NOTHING }), "");
    assert_eq!(print(&Case { parent, removed: true, may_prune: false, ..NOTHING }), "");
    // With prune off its objects are let go of.
    let kept = Case { surplus: &["ConfigMap/demo/web"], parent, removed: true, prune: false, ..NOTHING };
    assert_eq!(print(&kept), "delete set\n");
}

#[test]
fn most_of_an_app_goes_only_when_that_is_confirmed() {
    let surplus: &[&str] = &["Secret/demo/a", "Secret/demo/b", "Secret/demo/c", "Secret/demo/d"];
    let wanted: &[&str] = &["ConfigMap/demo/new", "!ConfigMap/demo/old"];
    let parent = Some("ConfigMap Secret");
    let case = Case { wanted, surplus, parent, ..NOTHING };
    // The parent keeps that it waits, before anything new is there.
    assert_eq!(print(&case), "set ConfigMap Secret, 4/5 held\nnamespace demo\napply ConfigMap/demo/new\n");
    let prune = "prune Secret/demo/a Secret/demo/b Secret/demo/c Secret/demo/d\n";
    let applied: &[&str] = &["!ConfigMap/demo/new"];
    assert_eq!(print(&Case { wanted: applied, limit: 80, ..case }), prune);
    let few: &[&str] =
        &["Secret/demo/a", "Secret/demo/b", "Secret/demo/c", "+Secret/demo/d", "~Secret/demo/e"];
    assert_eq!(
        print(&Case { wanted: applied, surplus: few, parent, ..NOTHING }),
        "prune Secret/demo/a Secret/demo/b Secret/demo/c\n"
    );
    // Whoever removes the App document means all of it.
    assert_eq!(print(&Case { surplus, parent, removed: true, ..NOTHING }), prune);
}

#[test]
fn what_is_to_be_kept_stays_and_holds_nothing_up() {
    let (surplus, parent): (&[&str], _) = (&["+Secret/demo/a"], Some("Secret"));
    assert_eq!(print(&Case { surplus, parent, ..NOTHING }), "");
    assert_eq!(print(&Case { surplus, parent, removed: true, ..NOTHING }), "delete set\n");
}
