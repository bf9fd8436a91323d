//! `clary-train`.

fn main() {}
