//! Writes man pages and shell completions of all binaries, from the flag table: `cargo run --example docs [DIRECTORY]`.

use std::fs::{self, File};
use std::path::PathBuf;

use clap_complete::Shell;
use sidecar_core::flags::{Binary, command};

fn main() -> std::io::Result<()> {
    let directory = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("target/docs"), PathBuf::from);
    let (man, completions) = (directory.join("man"), directory.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    for binary in Binary::ALL {
        let page = File::create(man.join(format!("{}.1", binary.name())))?;
        clap_mangen::Man::new(command(binary)).render(&mut &page)?;
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            clap_complete::generate_to(shell, &mut command(binary), binary.name(), &completions)?;
        }
    }
    println!("wrote {} and {}", man.display(), completions.display());
    Ok(())
}
