//! `muster bootstrap`: how does a cluster come to the fleet?

use muster_manifests::Place;

use super::{Verdict, hub, reach};
use crate::{
    args::{BootstrapArguments, Options},
    failure::Failure,
    output::{remark, write},
    text::clean,
};

/// Makes a token and prints the manifests with it.
pub(super) async fn run(options: &Options, arguments: &BootstrapArguments) -> Result<Verdict, Failure> {
    let BootstrapArguments { cluster, labels, ttl, choices } = arguments;
    // Agents reach it as we do.
    let address = reach(options).await?.address.to_string();
    // Whatever is wrong with the choices, no token is made for it.
    let check = Place { cluster, hub: Some(&address), token: None };
    muster_manifests::print(&check, choices).map_err(Failure::Manifests)?;
    let (token, _) = hub(options).await?.create_token(cluster, labels, *ttl, 1).await?;
    let place = Place { token: Some(&token), ..check };
    write(&muster_manifests::print(&place, choices).map_err(Failure::Manifests)?)?;
    let cluster = clean(cluster);
    remark(&format!(
        "The manifests hold a token with which {cluster} may enrol once within {}: pipe them to\n\
         kubectl --context CONTEXT apply --server-side -f -\n",
        humantime::format_duration(*ttl)
    ));
    Ok(Verdict::Well)
}
