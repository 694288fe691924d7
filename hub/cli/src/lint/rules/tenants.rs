//! What may an app not have, by the tenants of the Fleet document?

use muster_render::{Object, applied};
use muster_spec::{App, Fleet, Located, Refusal};

use crate::lint::finding::{At, Mistake};
use crate::lint::locate;
use crate::lint::rule::Rule;
use crate::render::Scopes;

/// What an agent would refuse of an app: with the object it is about, if it is about one. `path` is the app's
/// directory for the cluster.
pub(in crate::lint) fn check<'o>(
    fleet: &Located<Fleet>,
    app: &Located<App>,
    path: &str,
    objects: &'o [Object],
    scopes: &Scopes,
) -> Vec<(Option<&'o Object>, Mistake)> {
    let mistake = |at: At, refusal: &Refusal| Mistake {
        at,
        rule: Rule::Tenant,
        message: format!("{refusal}, as {} says", fleet.place()),
    };
    let at_app = || At { file: app.file.clone(), line: app.line, column: app.column };
    let bounds = match fleet.value.bounds(app.value.name()) {
        Ok(None) => return Vec::new(),
        Ok(Some(bounds)) => bounds,
        Err(refusal) => return vec![(None, mistake(at_app(), &refusal))],
    };
    let refused = bounds.refuse_app(&app.value, path);
    let mut found: Vec<_> = refused.iter().map(|refusal| (None, mistake(at_app(), refusal))).collect();
    let app_namespace = app.value.spec.namespace.as_ref().map(|name| name.as_str());
    for object in objects {
        let is_namespaced = scopes.is_namespaced(object.group(), object.kind());
        let namespace = applied::namespace(&object.value, is_namespaced, app_namespace);
        let allowed = bounds.allow_object(object.group(), object.kind(), namespace, object.name());
        if let Err(refusal) = allowed {
            found.push((Some(object), mistake(locate::object(object), &refusal)));
        }
    }
    found
}
