//! `clary-loadtest`.

fn main() {}
