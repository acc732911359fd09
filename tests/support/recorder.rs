//! A metrics recorder as exporters have one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

type Series = Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>;

/// The last value of each counter and gauge, by its name and labels: `name` or
/// `name{label=value,…}`.
#[derive(Clone, Default)]
pub(crate) struct Recorded {
    counters: Series,
    gauges: Series,
    /// The series whose next value makes the recorder panic.
    panics_at: Arc<Mutex<Option<String>>>,
}

impl Recorded {
    /// What this process records. A process can have only one recorder, so the tests share it.
    pub(crate) fn here() -> &'static Self {
        static RECORDED: LazyLock<Recorded> = LazyLock::new(|| {
            let recorded = Recorded::default();
            metrics::set_global_recorder(recorded.clone()).unwrap();
            recorded
        });
        &RECORDED
    }

    /// Panics once when a value of that series is set.
    pub(crate) fn panic_once(&self, series: String) {
        *self.panics_at.lock().unwrap() = Some(series);
    }

    pub(crate) fn has_panicked(&self) -> bool {
        self.panics_at.lock().unwrap().is_none()
    }

    pub(crate) fn counters(&self) -> BTreeMap<String, u64> {
        read(&self.counters, |bits| bits)
    }

    pub(crate) fn gauges(&self) -> BTreeMap<String, f64> {
        read(&self.gauges, f64::from_bits)
    }
}

fn read<T>(series: &Series, value: impl Fn(u64) -> T) -> BTreeMap<String, T> {
    let series = series.lock().unwrap();
    series.iter().map(|(name, bits)| (name.clone(), value(bits.load(Ordering::Relaxed)))).collect()
}

fn series(series: &Series, key: &Key) -> Arc<AtomicU64> {
    let name = name(key);
    Arc::clone(series.lock().unwrap().entry(name).or_default())
}

fn name(key: &Key) -> String {
    let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    format!("{}{labels}", key.name())
}

impl Recorder for Recorded {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(series(&self.counters, key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let panics = self.panics_at.lock().unwrap().take_if(|series| *series == name(key)).is_some();
        assert!(!panics, "this recorder panics, as it has to");
        Gauge::from_arc(series(&self.gauges, key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
