//! Turns the definitions in `proto/` into the committed files under `src/gen/`.
//!
//! Generation is a manual step (`make generate`) and not a build script, so that building the project needs
//! neither `protoc` nor the code generator. The example `generate` writes the files; a test runs the same code
//! and fails when the committed files are stale.

use std::error::Error;
use std::path::{Path, PathBuf};

use prost_reflect::DescriptorPool;
use prost_reflect::prost::Message as _;

#[path = "calls.rs"]
mod calls;
#[path = "shapes.rs"]
mod shapes;

/// One generated file.
pub(crate) struct Generated {
    /// Where it belongs, relative to the crate's directory.
    pub(crate) path: PathBuf,
    /// What it must contain.
    pub(crate) content: String,
}

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The directory of the `csi-client` crate.
pub(crate) fn crate_directory() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Generates every committed file, in a stable order.
pub(crate) fn generate() -> Outcome<Vec<Generated>> {
    let protos = crate_directory().join("../../proto");
    let mut files = messages(&protos, &["csi.proto", "pluginregistration.proto"])?;
    let all = pool(&protos, &["csi.proto", "pluginregistration.proto"])?;
    let shapes = shapes::render(&all, &["csi.v1", "pluginregistration"], "crate");
    files.push(generated("src/gen/shapes.rs", shapes));
    files.push(generated("src/gen/csi.calls.rs", calls::render(&all, "csi.v1")?));
    let tests = crate_directory().join("tests/scenarios");
    let secrets = pool(&tests, &["secrets.proto"])?;
    let shapes = shapes::render(&secrets, &["secrets.test"], "csi_client");
    files.push(generated("tests/scenarios/secrets_shapes.rs", shapes));
    Ok(files)
}

/// Compiles definitions into a descriptor pool that keeps the custom options.
pub(crate) fn pool(directory: &Path, files: &[&str]) -> Outcome<DescriptorPool> {
    let mut compiler = protox::Compiler::new([directory])?;
    compiler.include_imports(true).open_files(files)?;
    Ok(DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice())?)
}

fn generated(path: &str, content: String) -> Generated {
    Generated { path: path.into(), content }
}

/// Message types, clients and servers.
fn messages(directory: &Path, files: &[&str]) -> Outcome<Vec<Generated>> {
    let mut compiler = protox::Compiler::new([directory])?;
    compiler.include_imports(true).include_source_info(true).open_files(files)?;
    let bytes = compiler.encode_file_descriptor_set();
    let descriptors = tonic_prost_build::FileDescriptorSet::decode(bytes.as_slice())?;
    let out = tempfile::tempdir()?;
    let mut config = tonic_prost_build::Config::new();
    // The sanitiser finds the shape of a message by its full name.
    config.enable_type_names();
    tonic_prost_build::configure()
        .build_transport(false)
        .emit_rerun_if_changed(false)
        // Encoded requests and log lines are to be the same for the same content.
        .btree_map(".")
        .out_dir(out.path())
        .compile_fds_with_config(descriptors, config)?;
    let mut result = Vec::new();
    for name in ["csi.v1.rs", "pluginregistration.rs"] {
        let content = std::fs::read_to_string(out.path().join(name))?;
        result.push(generated(&format!("src/gen/{name}"), content));
    }
    Ok(result)
}
