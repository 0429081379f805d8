//! Rewrites the generated files of this crate from `proto/`; see `codegen/codegen.rs`.

#[path = "../codegen/codegen.rs"]
mod codegen;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in codegen::generate()? {
        let path = codegen::crate_directory().join(&file.path);
        std::fs::write(&path, &file.content)?;
    }
    Ok(())
}
