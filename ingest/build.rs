//! Rebuilds the crate when a recipe is added: `include_dir!` itself only notices changed files.

fn main() {
    println!("cargo::rerun-if-changed=../mappings");
}
