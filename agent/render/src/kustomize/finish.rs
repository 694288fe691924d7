//! Which objects come out of a build, in which order, and what does `buildMetadata` add to them?

use serde_json::Value;

use super::{
    build::Here,
    identity::Kinds,
    kustomization::SortOptions,
    resmap::ResMap,
    resource::{BUILD_ANNOTATIONS, Resource},
    sort,
    specs::FieldSpec,
    visit::{self, Make},
};
use crate::{Object, RenderError};

const ORIGIN: &str = "config.kubernetes.io/origin";
const TRANSFORMATIONS: &str = "alpha.config.kubernetes.io/transformations";
const LOCAL_CONFIG: &str = "config.kubernetes.io/local-config";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The version kubectl gives itself there.
const MANAGER: &str = "kustomize-(devel)";

/// Leaves out what is only for Kustomize, and puts objects into their order. `metadata` is what
/// `buildMetadata` of the kustomization that is built says.
pub(super) fn finish(
    here: Here<'_>,
    mut map: ResMap,
    kinds: Kinds<'_>,
    metadata: &[String],
) -> Result<Vec<Object>, RenderError> {
    map.list.retain(|resource| {
        let annotations = resource.annotations();
        !resource.is_empty() && annotations.get(LOCAL_CONFIG).is_none_or(|local| local == "false")
    });
    if let Err(message) = map.check_unique(kinds) {
        return here.fail("resources", message);
    }
    order(here, &mut map)?;
    map.list.into_iter().map(|resource| object(resource, metadata)).collect()
}

fn order(here: Here<'_>, map: &mut ResMap) -> Result<(), RenderError> {
    let default = SortOptions { order: "legacy".to_owned(), legacy: None };
    let options = here.kustomization.sort_options.as_ref().unwrap_or(&default);
    match (options.order.as_str(), &options.legacy) {
        ("legacy", None) => sort::by_kind(&mut map.list, &sort::FIRST, &sort::LAST),
        ("legacy", Some((first, last))) => sort::by_kind(&mut map.list, first, last),
        ("fifo", None) => {}
        ("fifo", Some(_)) => {
            return here.fail(
                "sortOptions",
                "the field 'sortOptions.legacySortOptions' is set but the selected sort order is 'fifo', not 'legacy'",
            );
        }
        _ => {
            return here.fail("sortOptions", "the field 'sortOptions.order' must be one of [fifo, legacy]");
        }
    }
    Ok(())
}

fn object(mut resource: Resource, metadata: &[String]) -> Result<Object, RenderError> {
    let asked = |option: &str| metadata.iter().any(|asked| asked == option);
    if asked("managedByLabel") {
        let spec = FieldSpec { path: "metadata/labels".into(), create: true, ..FieldSpec::default() };
        visit::each(&mut resource, &spec, Make::Mapping, &mut |value| {
            visit::set_entry(value, MANAGED_BY, MANAGER)
        })
        .map_err(|message| RenderError::at_file(&resource.file, message))?;
    }
    let mut annotations = resource.annotations();
    annotations.retain(|key, _| {
        !BUILD_ANNOTATIONS.contains(&key.as_str()) && key != ORIGIN && key != TRANSFORMATIONS
    });
    if asked("originAnnotations")
        && let Some(origin) = &resource.origin
    {
        annotations.insert(ORIGIN.to_owned(), origin.clone());
    }
    if asked("transformerAnnotations") && !resource.transformations.is_empty() {
        annotations.insert(TRANSFORMATIONS.to_owned(), list(&resource.transformations));
    }
    let checked = annotations.keys().try_for_each(|key| visit::check_key(key));
    checked.map_err(|message| RenderError {
        file: resource.file.clone(),
        line: resource.line,
        column: 0,
        message: format!("annotations: {message}"),
    })?;
    if resource.value.get("metadata").is_some_and(Value::is_object) {
        resource.set_texts("annotations", annotations);
    }
    let Resource { mut value, spelling, shared, file, line, .. } = resource;
    if let Err(message) = shared.check_types(&value) {
        return Err(RenderError { file, line, column: 0, message });
    }
    spelling.settle(&mut value);
    let object = Object { value, file, line };
    if object.api_version().is_empty() || object.kind().is_empty() || object.name().is_empty() {
        let message = "the object built from here lacks apiVersion, kind or metadata.name";
        return Err(RenderError { file: object.file, line, column: 0, message: message.to_owned() });
    }
    Ok(object)
}

/// Items of a list in YAML, each of them a text of several lines.
fn list(items: &[String]) -> String {
    let item = |text: &String| {
        let lines = text.lines().enumerate();
        lines.map(|(at, line)| format!("{} {line}\n", if at == 0 { "-" } else { " " })).collect::<String>()
    };
    items.iter().map(item).collect()
}
