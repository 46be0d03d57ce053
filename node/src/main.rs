//! The process `holdfast-node`.

fn main() {}
