//! `/metrics` as a scraper reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// What a scrape has found.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    /// The answer as it came.
    pub(crate) text: String,
    samples: Vec<Sample>,
}

#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Asks an admin listener.
    pub(crate) async fn of(admin: SocketAddr) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(format!("http://{admin}/metrics")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        Self::read(answer.text().await.unwrap())
    }

    fn read(text: String) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(sample).collect();
        Self { text, samples }
    }

    /// The sum of the samples of this name that have these labels; `None` when there is none.
    pub(crate) fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &Sample| {
            labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|found| found == value))
        };
        let mut found = self.samples.iter().filter(|sample| sample.name == name && has(sample)).peekable();
        found.peek().is_some().then(|| found.map(|sample| sample.value).sum())
    }

    /// The same; zero when there is none.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).unwrap_or(0.0)
    }

    /// The same of what is counted in ones.
    ///
    /// # Panics
    ///
    /// When it is no whole number.
    pub(crate) fn count(&self, name: &str, labels: &[(&str, &str)]) -> usize {
        let value = self.value(name, labels);
        value.to_string().parse().unwrap_or_else(|_| panic!("{name} is {value}"))
    }

    /// Every name that is announced, samples or not.
    pub(crate) fn families(&self) -> BTreeSet<&str> {
        self.text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
    }

    /// The samples that only grow, each with its labels.
    pub(crate) fn growing(&self) -> BTreeMap<String, f64> {
        let endings = ["_total", "_bucket", "_sum", "_count"];
        let grows = |sample: &&Sample| endings.iter().any(|ending| sample.name.ends_with(ending));
        let named = |sample: &Sample| (format!("{}{:?}", sample.name, sample.labels), sample.value);
        self.samples.iter().filter(grows).map(named).collect()
    }
}

/// `name{label="value",…} 1.5`
fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
    let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
    let Some((name, labels)) = series.split_once('{') else {
        return Sample { name: series.to_owned(), labels: BTreeMap::new(), value };
    };
    let mut rest = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"));
    let mut labels = BTreeMap::new();
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
        let end = after.find('"').unwrap_or_else(|| panic!("{line}"));
        let before = labels.insert(label.to_owned(), after[..end].to_owned());
        assert_eq!(before, None, "{line}");
        rest = after[end + 1..].trim_start_matches(',');
    }
    Sample { name: name.to_owned(), labels, value }
}
