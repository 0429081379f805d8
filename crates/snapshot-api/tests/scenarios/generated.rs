//! The committed definitions match the code, and nothing else lies beside them.

use std::collections::BTreeSet;
use std::path::PathBuf;

#[path = "../../codegen/codegen.rs"]
pub(crate) mod codegen;

#[test]
fn committed_definitions_are_fresh() {
    for file in codegen::generate().expect("the definitions can be written as YAML") {
        let committed = std::fs::read_to_string(&file.path).unwrap_or_default();
        assert!(
            committed == file.content,
            "{} is stale: run `make generate` (cargo run -p snapshot-api --example generate)",
            file.path.display()
        );
    }
}

#[test]
fn there_are_six_files_and_no_other() {
    let wanted: BTreeSet<PathBuf> =
        codegen::generate().unwrap().into_iter().map(|file| file.path.canonicalize().unwrap()).collect();
    let found: BTreeSet<PathBuf> = std::fs::read_dir(codegen::directory())
        .unwrap()
        .map(|entry| entry.unwrap().path().canonicalize().unwrap())
        .collect();
    assert_eq!(found, wanted);
    assert_eq!(found.len(), 6);
}
