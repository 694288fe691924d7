//! Unit tests of building kustomizations.
