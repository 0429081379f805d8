//! The rows: collected while measuring, shown as a table, written as JSON.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use super::Column;
use crate::places;

/// What a row is about; lower values are better.
#[derive(Clone, Debug)]
pub(super) struct Row {
    name: String,
    unit: &'static str,
    goal: Option<f64>,
    command: String,
}

impl Row {
    /// A row without a goal.
    pub(super) fn new(name: &str, unit: &'static str) -> Self {
        Self { name: name.to_owned(), unit, goal: None, command: String::new() }
    }

    /// The most that the value may be.
    pub(super) fn goal(mut self, goal: impl Into<Option<f64>>) -> Self {
        self.goal = goal.into();
        self
    }

    /// How the value came about.
    pub(super) fn command(mut self, command: &str) -> Self {
        command.clone_into(&mut self.command);
        self
    }
}

/// A row with its values.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    value: Option<f64>,
    unit: &'static str,
    goal: Option<f64>,
    baseline: Option<f64>,
    #[serde(skip)]
    command: String,
}

impl Line {
    fn misses(&self) -> bool {
        matches!((self.value, self.goal), (Some(value), Some(goal)) if value > goal)
    }
}

/// Everything measured so far, in the order of the first measurement.
#[derive(Debug, Default)]
pub(super) struct Report {
    lines: Vec<Line>,
}

impl Report {
    /// Notes one value of a row, rounded to what can be told apart.
    pub(super) fn note(&mut self, column: Column, row: Row, value: f64) {
        let value = Some((value * 1000.0).round() / 1000.0);
        let Row { name, unit, goal, command } = row;
        let index = self.lines.iter().position(|line| line.name == name).unwrap_or_else(|| {
            self.lines.push(Line { name, value: None, unit, goal, baseline: None, command });
            self.lines.len() - 1
        });
        if let Some(line) = self.lines.get_mut(index) {
            match column {
                Column::Ours => line.value = value,
                Column::Baseline => line.baseline = value,
            }
        }
    }

    /// The rows for people, with what was compared with and which goals are missed.
    pub(super) fn table(&self, baseline: Option<&Path>) -> String {
        let heads = ["name", "value", "unit", "goal", "baseline", "command"].map(str::to_owned);
        let mut rows = vec![heads];
        rows.extend(self.lines.iter().map(cells));
        let mut widths = [0; 6];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let [name, value, unit, goal, base, _] = widths;
        let mut text = String::new();
        for [a, b, c, d, e, f] in &rows {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{a:<name$}  {b:>value$}  {c:<unit$}  {d:>goal$}  {e:>base$}  {f}");
        }
        let missed: Vec<&str> =
            self.lines.iter().filter(|line| line.misses()).map(|line| line.name.as_str()).collect();
        let _ = match baseline {
            Some(dir) => writeln!(text, "\nbaseline: the binaries in {}", dir.display()),
            None => writeln!(text, "\nbaseline: none, BASELINE_BIN_DIR is not set"),
        };
        let _ = if missed.is_empty() {
            writeln!(text, "all goals are met")
        } else {
            writeln!(text, "{} goals are missed (marked !): {}", missed.len(), missed.join("; "))
        };
        text
    }

    /// Writes `bench.json` into the target folder, and into `target` of the repository if that is another one.
    pub(super) fn save(&self, repository: &Path) -> Result<Vec<PathBuf>> {
        let mut folders = vec![places::target(repository), repository.join("target")];
        folders.dedup();
        let text = serde_json::to_vec_pretty(&self.lines)?;
        let write = |folder: PathBuf| {
            let file = folder.join("bench.json");
            std::fs::create_dir_all(&folder)
                .and_then(|()| std::fs::write(&file, &text))
                .with_context(|| format!("cannot write {}", file.display()))?;
            Ok(file)
        };
        folders.into_iter().map(write).collect()
    }
}

fn cells(line: &Line) -> [String; 6] {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value}"));
    let mark = if line.misses() { "! " } else { "" };
    [
        line.name.clone(),
        format!("{mark}{}", number(line.value)),
        line.unit.to_owned(),
        number(line.goal),
        number(line.baseline),
        line.command.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        let row = || Row::new("size", "MiB").goal(4.0).command("stat");
        report.note(Column::Ours, row(), 5.000_04);
        report.note(Column::Ours, Row::new("calls", "calls"), 1.0);
        report.note(Column::Baseline, row(), 50.0);
        report
    }

    #[test]
    fn a_row_has_both_columns_and_missed_goals_are_told() {
        let table = report().table(Some(Path::new("/other")));
        assert_eq!(table.lines().nth(1).unwrap(), "size     ! 5  MiB       4        50  stat");
        assert!(table.contains("1 goals are missed (marked !): size"), "{table}");
        assert!(table.contains("the binaries in /other"), "{table}");
        assert!(Report::default().table(None).contains("BASELINE_BIN_DIR is not set"));
    }

    #[test]
    fn json_has_the_agreed_fields() {
        let json = serde_json::to_value(report().lines).unwrap();
        let expected = serde_json::json!([
            {"name": "size", "value": 5.0, "unit": "MiB", "goal": 4.0, "baseline": 50.0},
            {"name": "calls", "value": 1.0, "unit": "calls", "goal": null, "baseline": null},
        ]);
        assert_eq!(json, expected);
    }
}
