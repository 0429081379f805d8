//! Rewrites `deploy/crds`; see `codegen/codegen.rs`.

#[path = "../codegen/codegen.rs"]
mod codegen;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(codegen::directory())?;
    for file in codegen::generate()? {
        std::fs::write(&file.path, &file.content)?;
    }
    Ok(())
}
