//! Has the crate compiled again when a migration is added or changed: they are part of the program.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
