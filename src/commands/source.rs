//! Flags that several commands share: where the configuration comes from, and how answers are written.

use std::path::PathBuf;

use crate::config::Sources;

/// Where the configuration comes from.
#[derive(Clone, Debug, clap::Args)]
pub struct SourceArgs {
    /// The configuration file: YAML, or by its ending TOML or JSON
    #[arg(long, value_name = "FILE", default_value = "usher.yaml", global = true)]
    pub config: PathBuf,
    /// Set one key, over the file and the environment
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value, global = true)]
    pub settings: Vec<(String, String)>,
}

impl SourceArgs {
    /// The file, the environment of this process, and the flags.
    #[must_use]
    pub fn sources(&self) -> Sources {
        Sources::file(&self.config).with_process_environment().with_flags(self.settings.clone())
    }
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For scripts.
    Json,
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err("write KEY=VALUE".to_owned()),
    }
}
