//! Does the dashboard show a person the fleet and let it act, and does the JSON API behind it hold?

mod browser;
mod http;
mod json;
mod large;
mod pages;
