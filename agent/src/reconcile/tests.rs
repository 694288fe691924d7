//! Stories told to the core, and what it wants done.
