//! What may an app do here, by the Fleet document?
use std::sync::Arc;

use muster_spec::{App, Bounds, Fleet, Located};

use super::{Kind, Problem};

/// The rules for one app, and where they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    bounds: Bounds,
    /// `file:line` of the Fleet document.
    place: String,
}

impl Rules {
    /// Whether the app may have an object; the reason is a sentence with the rule's place.
    pub(crate) fn allow(&self, group: &str, kind: &str, namespace: &str, name: &str) -> Result<(), String> {
        let allowed = self.bounds.allow_object(group, kind, namespace, name);
        allowed.map_err(|refusal| format!("{refusal}, as {} says.", self.place))
    }
}

/// The rules for an app; `None` when there are none. `path` is its directory for this cluster.
///
/// # Errors
/// What its document asks for that it may not have.
pub(super) fn rules(
    fleet: Option<&Located<Fleet>>,
    app: &Located<App>,
    path: &str,
) -> Result<Option<Arc<Rules>>, Vec<Problem>> {
    let Some(fleet) = fleet else { return Ok(None) };
    let refused = |refusal: muster_spec::Refusal| Problem {
        kind: Kind::Document,
        place: app.place(),
        message: format!("{refusal}, as {} says. The app's objects stay as they are.", fleet.place()),
    };
    let bounds = fleet.value.bounds(app.value.name()).map_err(|refusal| vec![refused(refusal)])?;
    let Some(bounds) = bounds else { return Ok(None) };
    let problems: Vec<_> = bounds.refuse_app(&app.value, path).into_iter().map(refused).collect();
    if problems.is_empty() {
        Ok(Some(Arc::new(Rules { bounds, place: fleet.place() })))
    } else {
        Err(problems)
    }
}
