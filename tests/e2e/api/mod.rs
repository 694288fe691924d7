//! What does Muster expect of a Kubernetes API?
//!
//! Each story runs on a simulated cluster always, and on a real one where there is one. Where they differ, the
//! simulation is wrong. Stories work in a namespace of their own, so that they can share one real cluster.

mod backend;
mod control;
mod deleting;
mod differential;
mod kubectl;
mod reading;
mod watching;
mod workloads;
mod writing;

/// Makes two tests of each story: one on a simulated cluster, one on the real cluster all tests share.
macro_rules! stories {
    ($($story:ident),+ $(,)?) => {
        mod on_simcluster {
            $(#[tokio::test]
            async fn $story() {
                super::$story(crate::api::backend::Backend::simulated(stringify!($story)).await).await;
            })+
        }
        mod on_kubernetes {
            $(#[tokio::test]
            async fn $story() {
                if let Some(backend) = crate::api::backend::Backend::real(stringify!($story)).await {
                    super::$story(backend).await;
                }
            })+
        }
    };
}
use stories;
