//! What a run came to: figures as JSON, tables between the marks of a page, and plots.

mod marks;
mod svg;
mod table;

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::failure::{During, Result};
use crate::machine::Machine;
use crate::parts::{Figures, Part};
use crate::postgres;
use crate::room::Room;

/// The page that tables are written into.
const PAGE: &str = "PERFORMANCE.md";
/// Beside it: figures and plots.
const DIRECTORY: &str = "performance";
/// A machine on which fewer processes than this wanted to run had nothing else to do.
const QUIET: f64 = 0.3;

/// A run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    machine: Machine,
    settings: Settings,
    parts: Vec<Figures>,
    /// How busy the machine was after each part, this run included.
    load_averages: Vec<f64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    rounds: usize,
    seconds: u64,
    growth_rows: u64,
    postgres: &'static str,
}

impl Report {
    /// A run on a machine, without figures yet.
    pub fn new(machine: Machine, room: &Room) -> Self {
        let settings = Settings {
            rounds: room.rounds,
            seconds: room.seconds,
            growth_rows: room.growth_rows,
            postgres: postgres::SETTINGS,
        };
        Self { machine, settings, parts: Vec::new(), load_averages: Vec::new() }
    }

    /// Adds a part.
    pub fn add(&mut self, figures: Figures, load_average: f64) {
        self.parts.push(figures);
        self.load_averages.push(load_average);
    }

    /// Prints the ratios.
    pub fn print(&self) {
        for figures in &self.parts {
            println!("\n{}\n{}", figures.part.name(), table::compared(figures));
        }
        println!("\n{}", self.condition());
    }

    /// Writes everything to a directory. Parts of the page that were not measured now stay as they are.
    ///
    /// # Errors
    /// What the file system says, or when the page has no mark for a part.
    pub fn write(&self, out: &Path) -> Result<()> {
        let beside = out.join(DIRECTORY);
        fs::create_dir_all(&beside).during(beside.display())?;
        let page_file = out.join(PAGE);
        let mut page = fs::read_to_string(&page_file).unwrap_or_else(|_| marks::empty_page());
        for figures in &self.parts {
            let name = figures.part.name();
            let text = serde_json::to_string_pretty(&self.one(figures)).expect("figures have plain keys");
            save(&beside.join(format!("{name}.json")), &format!("{text}\n"))?;
            for theme in svg::THEMES {
                let plot = svg::bars(figures, &theme);
                save(&beside.join(format!("{name}-{}.svg", theme.name)), &plot)?;
            }
            page = marks::replace(&page, name, &self.block(figures))?;
        }
        save(&page_file, &page)?;
        eprintln!("written: {} and {}", page_file.display(), beside.display());
        Ok(())
    }

    /// One part with all that is needed to judge it.
    fn one<'a>(&'a self, figures: &'a Figures) -> impl Serialize + 'a {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct One<'a> {
            machine: &'a Machine,
            settings: &'a Settings,
            figures: &'a Figures,
        }
        One { machine: &self.machine, settings: &self.settings, figures }
    }

    fn block(&self, figures: &Figures) -> String {
        let name = figures.part.name();
        let picture = format!(
            "<picture>\n<source media=\"(prefers-color-scheme: dark)\" srcset=\"{DIRECTORY}/{name}-dark.svg\">\n\
             <img alt=\"{name}: medians, least and most of each series\" src=\"{DIRECTORY}/{name}-light.svg\">\n</picture>"
        );
        let checks: Vec<String> = figures.checks.iter().map(|check| format!("- {check}\n")).collect();
        format!(
            "{}\n\n{picture}\n\n{}\n{}\nChecked after it:\n\n{}",
            self.condition(),
            table::compared(figures),
            table::series(figures),
            checks.concat()
        )
    }

    /// Where, when and under what conditions.
    fn condition(&self) -> String {
        let Machine { at, processor, cores, memory_gib, kernel, file_system, versions, load_average } =
            &self.machine;
        let Settings { rounds, seconds, .. } = self.settings;
        let versions: Vec<String> =
            versions.iter().map(|(name, version)| format!("{name}: {version}")).collect();
        let quiet = if *load_average < QUIET {
            String::new()
        } else {
            format!(" **The machine was not quiet**: {load_average} processes wanted to run when it began.")
        };
        format!(
            "{at} UTC, {rounds} rounds of {seconds} s. {cores} × {processor}, {memory_gib} GiB, {kernel}, data on \
             {file_system}. {}.{quiet}",
            versions.join("; ")
        )
    }
}

fn save(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).during(file.display())
}

impl Part {
    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Hot => "hot",
            Self::Batch => "batch",
            Self::Read => "read",
            Self::Order => "order",
            Self::Latency => "latency",
            Self::Feed => "feed",
            Self::Failover => "failover",
            Self::Growth => "growth",
            Self::Budget => "budget",
        }
    }
}
