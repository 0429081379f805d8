//! Programs that come with the distribution: what is missing is named with the package to install.

use anyhow::{Result, bail};

use crate::places;

/// Program, package, and what needs it; `make deps` reads the same file.
const TABLE: &str = include_str!("../packages.txt");

/// One line of the table.
struct Need {
    program: &'static str,
    package: &'static str,
    node_only: bool,
}

fn table() -> impl Iterator<Item = Need> {
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut words = line.split_whitespace();
        let (program, package, reason) = (words.next()?, words.next()?, words.next()?);
        Some(Need { program, package, node_only: reason == "node" })
    })
}

/// Fails with the exact `apt-get` line when a program is missing.
pub(crate) fn check(node: bool) -> Result<()> {
    let mut packages: Vec<&str> = Vec::new();
    let mut programs: Vec<&str> = Vec::new();
    for need in table().filter(|need| node || !need.node_only) {
        if !present(need.program) {
            programs.push(need.program);
            if !packages.contains(&need.package) {
                packages.push(need.package);
            }
        }
    }
    if packages.is_empty() {
        return Ok(());
    }
    bail!(
        "missing programs: {}. Run make deps as root, or: apt-get install -y {}",
        programs.join(", "),
        packages.join(" ")
    )
}

fn present(program: &str) -> bool {
    if program.starts_with('/') {
        places::is_executable(program.as_ref())
    } else {
        places::on_path(program).is_some()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_line_of_the_table_is_complete() {
        let lines = super::TABLE.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count();
        assert_eq!(super::table().count(), lines);
        assert!(super::table().any(|need| need.node_only) && super::table().any(|need| !need.node_only));
    }
}
