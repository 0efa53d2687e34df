//! What this process costs, for the heartbeat.

use rustix::time::{ClockId, clock_gettime};

/// Resident memory in bytes and CPU time since the start in microseconds.
pub fn usage() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let cpu_us = cpu.tv_sec.cast_unsigned() * 1_000_000 + cpu.tv_nsec.cast_unsigned() / 1000;
    (resident_bytes(&status), cpu_us)
}

fn resident_bytes(status: &str) -> u64 {
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"));
    let kib = line.and_then(|it| it.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_uses_something() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    1234 kB\n"), 1234 * 1024);
        let (resident, cpu) = usage();
        assert!(resident > 1 << 20 && cpu > 0, "{resident} {cpu}");
    }
}
