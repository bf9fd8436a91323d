//! `clary`.

fn main() {}
