//! Stories of whole fleets: the built agent, hub and command line, a real Git server, and clusters that are
//! real (kube-apiserver, controller-manager, etcd) or simulated.

mod demo;
mod diff;
mod exercise;
mod faults;
mod fifty;
mod identity;
mod manifests;
mod overlays;
mod poly;
mod promoters;
mod signing;
mod story;
mod view;
mod waves;
mod windows;
