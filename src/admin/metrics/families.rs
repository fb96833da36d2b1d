//! Metrics of one name, each with its labels, handed to the library that writes them down.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelValue, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::tally::Durations;

/// Where they are written to.
pub(super) struct Families<'e>(pub(super) DescriptorEncoder<'e>);

/// The labels of one metric of a family.
type Labels<V, const N: usize> = [(&'static str, V); N];

impl Families<'_> {
    /// What does not change.
    pub(super) fn info<V: EncodeLabelValue, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: &Labels<V, N>,
    ) -> fmt::Result {
        self.begin(name, help, MetricType::Info)?.encode_info(labels)
    }

    /// What is at the moment.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: &impl EncodeGaugeValue) -> fmt::Result {
        self.begin(name, help, MetricType::Gauge)?.encode_gauge(value)
    }

    /// The same, for each of several.
    pub(super) fn gauges<V: EncodeLabelValue, G: EncodeGaugeValue, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<V, N>, G)>,
    ) -> fmt::Result {
        let mut family = self.begin(name, help, MetricType::Gauge)?;
        values.into_iter().try_for_each(|(labels, value)| family.encode_family(&labels)?.encode_gauge(&value))
    }

    /// What only grows. `name` is without the `_total` that is written behind it.
    pub(super) fn counter(&mut self, name: &str, help: &str, total: u64) -> fmt::Result {
        write_total(&mut self.begin(name, help, MetricType::Counter)?, total)
    }

    /// The same, for each of several.
    pub(super) fn counters<V: EncodeLabelValue, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        totals: impl IntoIterator<Item = (Labels<V, N>, u64)>,
    ) -> fmt::Result {
        let mut family = self.begin(name, help, MetricType::Counter)?;
        totals.into_iter().try_for_each(|(labels, total)| write_total(&mut family.encode_family(&labels)?, total))
    }

    /// How long things took, for each of several.
    pub(super) fn durations<'d, V: EncodeLabelValue, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        durations: impl IntoIterator<Item = (Labels<V, N>, &'d Durations)>,
    ) -> fmt::Result {
        let mut family = self.begin(name, help, MetricType::Histogram)?;
        durations.into_iter().try_for_each(|(labels, durations)| {
            let buckets: Vec<_> = durations.buckets().collect();
            // Of the same moment as the buckets, so that the one never contradicts the other.
            let count = buckets.iter().map(|(_, times)| times).sum();
            let mut metric = family.encode_family(&labels)?;
            metric.encode_histogram::<NoLabelSet>(durations.seconds(), count, &buckets, None)
        })
    }

    fn begin<'s>(&'s mut self, name: &'s str, help: &str, kind: MetricType) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }
}

fn write_total(metric: &mut MetricEncoder<'_>, total: u64) -> fmt::Result {
    metric.encode_counter::<NoLabelSet, u64, f64>(&total, None)
}
