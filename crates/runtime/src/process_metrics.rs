//! The standard metrics of a process, for Prometheus.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Clock ticks per second in user space (`USER_HZ`), the same on all relevant architectures of Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// The standard process metrics (Prometheus, "Writing client libraries"), read at each scrape. Empty without `/proc`.
#[derive(Debug)]
pub struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(Reading { cpu_seconds, start_time, resident_bytes }) = Reading::take() else {
            return Ok(());
        };

        let cpu = ConstCounter::new(cpu_seconds);
        let help = "CPU time spent in user and system mode";
        cpu.encode(encoder.encode_descriptor(
            "process_cpu",
            help,
            Some(&Unit::Seconds),
            cpu.metric_type(),
        )?)?;

        let memory = ConstGauge::new(resident_bytes);
        let (name, help) = ("process_resident_memory", "Resident memory");
        memory.encode(encoder.encode_descriptor(name, help, Some(&Unit::Bytes), memory.metric_type())?)?;

        let start = ConstGauge::new(start_time);
        let (name, help) = ("process_start_time", "Start time of the process, since the Unix epoch");
        start.encode(encoder.encode_descriptor(name, help, Some(&Unit::Seconds), start.metric_type())?)
    }
}

#[derive(Debug, PartialEq)]
struct Reading {
    cpu_seconds: f64,
    start_time: f64,
    resident_bytes: u64,
}

impl Reading {
    fn take() -> Option<Self> {
        let read = |path| fs::read_to_string(path).ok();
        Self::parse(&read("/proc/self/stat")?, &read("/proc/self/status")?, &read("/proc/stat")?)
    }

    /// The three files are described in proc(5).
    fn parse(stat: &str, status: &str, system: &str) -> Option<Self> {
        // The second field, the command, may contain spaces and parentheses: the third field follows the last parenthesis.
        let (_, fields) = stat.rsplit_once(") ")?;
        let ticks = |field: usize| fields.split_ascii_whitespace().nth(field - 3)?.parse::<f64>().ok();
        let boot: f64 = value(system, "btime ")?.parse().ok()?;
        let resident: u64 = value(status, "VmRSS:")?.strip_suffix(" kB")?.parse().ok()?;
        Some(Self {
            cpu_seconds: (ticks(14)? + ticks(15)?) / TICKS_PER_SECOND,
            start_time: boot + ticks(22)? / TICKS_PER_SECOND,
            resident_bytes: resident * 1024,
        })
    }
}

fn value<'a>(file: &'a str, key: &str) -> Option<&'a str> {
    file.lines().find_map(|line| line.strip_prefix(key)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_a_parenthesis_confuses_nothing() {
        let stat = "7 (cert) wright) S 1 7 7 0 -1 4194560 900 0 0 0 150 50 0 0 20 0 8 0 1000 99 5 18446744073709551615";
        let status = "Name:\tcertwright\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\n";
        let reading = Reading::parse(stat, status, "cpu 1 2 3\nbtime 1700000000\nprocesses 3\n");
        let expected = Reading { cpu_seconds: 2.0, start_time: 1_700_000_010.0, resident_bytes: 10_485_760 };
        assert_eq!(reading, Some(expected));
    }

    #[test]
    fn files_in_another_format_yield_nothing() {
        assert_eq!(Reading::parse("", "", ""), None);
        assert_eq!(Reading::parse("7 (x) S 1", "VmRSS: 1 kB", "btime 1"), None);
    }
}
