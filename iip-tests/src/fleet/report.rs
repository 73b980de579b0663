use std::fmt;
use std::time::Duration;

/// What a scenario came to.
#[derive(Debug, Clone)]
pub struct Report {
    name: &'static str,
    rows: Vec<Row>,
    notes: Vec<String>,
}

/// One of the things that were asked.
#[derive(Debug, Clone)]
pub struct Row {
    what: &'static str,
    bar: String,
    found: String,
    /// `None`: there is no bar, or it does not count this time.
    met: Option<bool>,
}

impl Report {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Something that is only told.
    pub(super) fn tell(&mut self, what: &'static str, found: impl fmt::Display) {
        self.rows.push(Row {
            what,
            bar: String::new(),
            found: found.to_string(),
            met: None,
        });
    }

    /// A number that must not be larger.
    pub(super) fn at_most(&mut self, what: &'static str, most: u64, found: u64) {
        self.rows.push(Row {
            what,
            bar: if most == 0 {
                "0".into()
            } else {
                format!("<= {most}")
            },
            found: found.to_string(),
            met: Some(found <= most),
        });
    }

    /// A number that must not be smaller.
    pub(super) fn at_least(&mut self, what: &'static str, least: u64, found: u64) {
        self.rows.push(Row {
            what,
            bar: format!(">= {least}"),
            found: found.to_string(),
            met: Some(found >= least),
        });
    }

    /// A time that must not be longer, if times count.
    pub(super) fn within(
        &mut self,
        what: &'static str,
        most: Duration,
        found: Duration,
        counts: bool,
    ) {
        let milliseconds = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
        self.rows.push(Row {
            what,
            bar: format!("<= {}", milliseconds(most)),
            found: milliseconds(found),
            met: counts.then_some(found <= most),
        });
    }

    /// What a failure looked like; the first ten are kept.
    pub(super) fn note(&mut self, text: String) {
        if self.notes.len() < 10 {
            self.notes.push(text);
        }
    }

    /// Whether every bar that counts was met.
    pub fn is_met(&self) -> bool {
        self.rows.iter().all(|row| row.met != Some(false))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<58}{:>14}{:>24}", self.name, "bar", "found")?;
        for row in &self.rows {
            let verdict = match row.met {
                Some(true) => "  met",
                Some(false) => "  FAILED",
                None => "",
            };
            writeln!(
                f,
                "  {:<56}{:>14}{:>24}{verdict}",
                row.what, row.bar, row.found
            )?;
        }
        for note in &self.notes {
            writeln!(f, "    {note}")?;
        }
        Ok(())
    }
}
