//! What of an app would an agent refuse, by the tenants of the Fleet document?

use muster_render::{Object, applied};
use muster_spec::{App, Fleet, Located};

use super::Scopes;

/// What is refused, each with the object it is about, or none when it is about the app's document. `path` is the
/// app's directory for the cluster.
pub(crate) fn refusals<'o>(
    fleet: &Located<Fleet>,
    app: &Located<App>,
    path: &str,
    objects: &'o [Object],
    scopes: &Scopes,
) -> Vec<(Option<&'o Object>, String)> {
    let told = |refusal: &muster_spec::Refusal| format!("{refusal}, as {} says", fleet.place());
    let bounds = match fleet.value.bounds(app.value.name()) {
        Ok(None) => return Vec::new(),
        Ok(Some(bounds)) => bounds,
        Err(refusal) => return vec![(None, told(&refusal))],
    };
    let refused = bounds.refuse_app(&app.value, path);
    let mut found: Vec<_> = refused.iter().map(|refusal| (None, told(refusal))).collect();
    let app_namespace = app.value.spec.namespace.as_ref().map(|name| name.as_str());
    for object in objects {
        let is_namespaced = scopes.is_namespaced(object.group(), object.kind());
        let namespace = applied::namespace(&object.value, is_namespaced, app_namespace);
        let allowed = bounds.allow_object(object.group(), object.kind(), namespace, object.name());
        if let Err(refusal) = allowed {
            found.push((Some(object), told(&refusal)));
        }
    }
    found
}
