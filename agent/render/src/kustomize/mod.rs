//! Which objects does a kustomization build?
//!
//! ```text
//! kustomization.rs  the file, read               build.rs    the kustomizations below it, in order
//! manifests.rs      objects from files           plan.rs     its transformers, in order
//! generate.rs       ConfigMaps and Secrets       transform/  what each does
//! references.rs     fields that name others      vars.rs     $(NAME)
//! bases.rs          what was built before
//! finish.rs         what comes out, and how       needs.rs    what has to be read
//! specs.rs          which fields (tables in specs/, more through config.rs)
//! ```
//!
//! The measure is `kubectl kustomize` of kubectl 1.32, which holds Kustomize 5.5.

mod bases;
mod build;
mod config;
mod fields;
mod finish;
mod generate;
mod hash;
mod identity;
mod kustomization;
mod lookup;
mod manifests;
mod needs;
mod openapi;
mod plan;
mod plugins;
mod references;
mod resmap;
mod resource;
mod shared;
mod sort;
mod specs;
mod transform;
mod tree;
mod vars;
mod visit;

#[cfg(test)]
mod tests;

pub(crate) use bases::Base;
pub(crate) use build::build;
pub(crate) use kustomization::FILE_NAMES;
pub(crate) use needs::Needs;
pub(crate) use resource::Resource;
pub(crate) use tree::Tree;
