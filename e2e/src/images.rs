//! Images without a registry: archives with one layer, written here, imported into containerd.
//!
//! Ours hold one static binary at the path that upstream's images use, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::places;
use crate::progress::{Step, say};
use crate::sidecars;
use crate::spec::Archive;
use crate::tar::Writer;

/// The image that holds a pod's namespaces: busybox, sleeping.
pub(crate) const PAUSE: &str = "docker.io/csi-sidecars/pause:dev";
/// The image of the pods that use volumes.
pub(crate) const BUSYBOX: &str = "docker.io/csi-sidecars/busybox:dev";
/// Commands that test pods use, as links to busybox.
const APPLETS: &[&str] = &[
    "sh", "awk", "cat", "cp", "dd", "df", "echo", "grep", "head", "ls", "mkdir", "nc", "rm", "sleep", "stat",
    "sync", "tail", "test", "true", "wget", "xxd",
];

/// Builds our binaries, static, so that they run in images that hold nothing else.
pub(crate) fn build(repository: &Path) -> Result<Vec<(String, PathBuf)>> {
    let target = host_target()?;
    let step = Step::start("building our binaries for the images");
    // The same selection as the Makefile's, or the union of features differs and everything is built twice.
    let mut cargo = static_build(repository, &target);
    run_cargo(cargo.args(["--workspace", "--bins", "--profile", "lab"]))?;
    step.done();
    let folder = places::target(repository).join(&target).join("lab");
    Ok(built().map(|name| (name.to_owned(), folder.join(name))).collect())
}

/// What the lab needs of our binaries: those of the images, and the example.
fn built() -> impl Iterator<Item = &'static str> {
    sidecars::binaries().chain([sidecars::EXAMPLE_DRIVER])
}

/// Binaries of the same names that somebody else built.
pub(crate) fn ready_made(dir: &Path) -> Result<Vec<(String, PathBuf)>> {
    let file = |name: &str| {
        let file = dir.join(name);
        if !places::is_executable(&file) {
            bail!("LAB_BIN_DIR={} has no program {name}", dir.display());
        }
        Ok((name.to_owned(), file))
    };
    built().map(file).collect()
}

/// A `cargo build` that links statically for `target`; what to build is yet to be said.
pub(crate) fn static_build(repository: &Path, target: &str) -> Command {
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    let flags = format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_"));
    cargo
        .args(["build", "--locked", "--quiet", "--target", target])
        .env(flags, "-C target-feature=+crt-static")
        .current_dir(repository)
        .stdin(Stdio::null());
    cargo
}

/// Runs cargo and fails with what it printed.
pub(crate) fn run_cargo(cargo: &mut Command) -> Result<()> {
    let output = cargo.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo build failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// The target that this machine's compiler builds for.
pub(crate) fn host_target() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say what it builds for")?.to_owned())
}

/// Writes the archives of all images: pause, busybox, ours, and those of `BASELINE_BIN_DIR` under `baseline/`.
pub(crate) fn write_all(folder: &Path, binaries: &[(String, PathBuf)]) -> Result<Vec<Archive>> {
    let busybox_file = places::on_path("busybox").context("no busybox (package busybox-static)")?;
    let busybox =
        fs::read(&busybox_file).with_context(|| format!("cannot read {}", busybox_file.display()))?;
    let mut archives = vec![write(folder, PAUSE, &busybox_image(&busybox, &["/bin/sleep", "2147483647"])?)?];
    archives.push(write(folder, BUSYBOX, &busybox_image(&busybox, &["/bin/sh"])?)?);
    archives.extend(write_ours(folder, binaries)?);
    if let Some(dir) = places::variable("BASELINE_BIN_DIR") {
        for name in sidecars::binaries() {
            let file = dir.join(name);
            if places::is_executable(&file) {
                archives.push(write_binary(folder, &sidecars::baseline_image(name), name, &file)?);
            } else {
                say(&format!("BASELINE_BIN_DIR={} has no program {name}", dir.display()));
            }
        }
    }
    Ok(archives)
}

/// Writes the archives of our own images.
pub(crate) fn write_ours(folder: &Path, binaries: &[(String, PathBuf)]) -> Result<Vec<Archive>> {
    let write = |(name, file): &(String, PathBuf)| write_binary(folder, &sidecars::image(name), name, file);
    binaries.iter().filter(|(name, _)| name != sidecars::EXAMPLE_DRIVER).map(write).collect()
}

/// What an image holds and starts.
struct Image {
    layer: Vec<u8>,
    entrypoint: Vec<String>,
}

fn busybox_image(busybox: &[u8], entrypoint: &[&str]) -> Result<Image> {
    let mut tar = Writer::new(Vec::new());
    for dir in ["bin/", "tmp/", "etc/"] {
        tar.folder(dir)?;
    }
    tar.file("bin/busybox", 0o755, busybox)?;
    for applet in APPLETS {
        tar.link(&format!("bin/{applet}"), "busybox")?;
    }
    Ok(Image { layer: tar.finish()?, entrypoint: entrypoint.iter().map(|&word| word.to_owned()).collect() })
}

fn write_binary(folder: &Path, image: &str, name: &str, file: &Path) -> Result<Archive> {
    let binary = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut tar = Writer::new(Vec::new());
    // A place for the termination log and for drivers that want temporary files.
    for dir in ["dev/", "tmp/", "etc/", "proc/", "sys/"] {
        tar.folder(dir)?;
    }
    tar.file(name, 0o755, &binary)?;
    write(folder, image, &Image { layer: tar.finish()?, entrypoint: vec![format!("/{name}")] })
}

/// The docker-archive layout: manifest.json, a config named by its digest, the layer.
fn write(folder: &Path, name: &str, image: &Image) -> Result<Archive> {
    let config = serde_json::to_vec(&json!({
        "architecture": architecture(), "os": "linux",
        "config": {"Entrypoint": image.entrypoint, "Env": ["PATH=/bin:/"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&image.layer))]},
        "history": [{"created_by": "lab"}],
    }))?;
    let config_name = format!("{}.json", sha256(&config));
    let manifest = json!([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]);
    let file = folder.join(format!("{}.tar", name.replace(['/', ':'], "_")));
    let out = fs::File::create(&file).with_context(|| format!("cannot create {}", file.display()))?;
    let mut tar = Writer::new(std::io::BufWriter::new(out));
    tar.file(&config_name, 0o644, &config)?;
    tar.file("layer.tar", 0o644, &image.layer)?;
    tar.file("manifest.json", 0o644, &serde_json::to_vec(&manifest)?)?;
    tar.finish()?;
    Ok(Archive { name: name.to_owned(), file })
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The SHA-256 of `bytes` in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    hex(digest.as_ref())
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
