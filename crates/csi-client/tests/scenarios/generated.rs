//! The committed generated code matches `proto/`.

#[path = "../../codegen/codegen.rs"]
pub(crate) mod codegen;

#[test]
fn committed_code_is_fresh() {
    for file in codegen::generate().expect("the definitions in proto/ compile") {
        let path = codegen::crate_directory().join(&file.path);
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == file.content,
            "{} does not match proto/: run `make generate` (cargo run -p csi-client --example generate)",
            file.path.display()
        );
    }
}
