//! Operating system, hardware and the time of the last start.

use crate::root::{Root, assignment, fact};
use sdk::Time;

/// What makers put where a model or serial number should be.
const JUNK: &[&str] = &[
    "to be filled by o.e.m.",
    "to be filled by oem",
    "default string",
    "system product name",
    "system serial number",
    "system manufacturer",
    "system name",
    "not specified",
    "not applicable",
    "not available",
    "not settable",
    "none",
    "n/a",
    "na",
    "oem",
    "o.e.m.",
    "unknown",
    "undefined",
    "invalid",
    "empty",
    "x.x",
    "123456789",
    "0123456789",
    "1234567890",
    "chassis serial number",
];

/// Name of the operating system as people know it, and its version.
pub(crate) fn os(root: &Root) -> (Option<String>, Option<String>) {
    let text = root.text("/etc/os-release").or_else(|| root.text("/usr/lib/os-release")).unwrap_or_default();
    let name = assignment(&text, "PRETTY_NAME").or_else(|| assignment(&text, "NAME"));
    (name, assignment(&text, "VERSION_ID").or_else(|| assignment(&text, "BUILD_ID")))
}

pub(crate) fn kernel(root: &Root) -> Option<String> {
    root.fact("/proc/sys/kernel/osrelease")
}

/// Maker and model, from DMI or the device tree.
pub(crate) fn model(root: &Root) -> Option<String> {
    let dmi = |name: &str| root.fact(&format!("/sys/class/dmi/id/{name}")).filter(|text| !is_junk(text));
    let (maker, product) = (dmi("sys_vendor"), dmi("product_name"));
    // Lenovo writes a code where others write the model, and the model where others write a version.
    let family = dmi("product_version").filter(|_| maker.as_deref().is_some_and(|m| m.eq_ignore_ascii_case("lenovo")));
    match (maker, family.or(product)) {
        (Some(maker), Some(product)) if product.to_lowercase().starts_with(&maker.to_lowercase()) => Some(product),
        (Some(maker), Some(product)) => Some(format!("{maker} {product}")),
        (None, Some(product)) => Some(product),
        (_, None) => root.fact("/proc/device-tree/model"),
    }
}

pub(crate) fn serial(root: &Root) -> Option<String> {
    let dmi = ["product_serial", "chassis_serial", "board_serial"].map(|name| format!("/sys/class/dmi/id/{name}"));
    let places = dmi.iter().map(String::as_str).chain(["/proc/device-tree/serial-number"]);
    places.filter_map(|place| root.fact(place)).find(|text| !is_junk(text))
}

fn is_junk(text: &str) -> bool {
    let text = text.trim().to_lowercase();
    let mut bytes = text.bytes().filter(u8::is_ascii_alphanumeric);
    let first = bytes.next();
    // All of one character: zeros, effs, a row of x.
    JUNK.contains(&text.as_str()) || bytes.all(|b| Some(b) == first)
}

/// Model of the processor, and how many the system schedules on.
pub(crate) fn cpu(root: &Root) -> (Option<String>, Option<u32>) {
    let text = root.text("/proc/cpuinfo").unwrap_or_default();
    let values = |key: &'static str| {
        text.lines().filter_map(move |line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == key).then_some(value)
        })
    };
    let named = ["model name", "Model", "cpu model", "cpu", "Processor", "Hardware", "uarch"];
    let model = named.into_iter().find_map(|key| values(key).find_map(fact));
    let count = values("processor").filter(|value| value.trim().parse::<u32>().is_ok()).count();
    (model, u32::try_from(count).ok().filter(|count| *count > 0))
}

/// Bytes the system manages.
pub(crate) fn memory(root: &Root) -> Option<u64> {
    let text = root.text("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

pub(crate) fn booted_at(root: &Root) -> Option<Time> {
    let text = root.text("/proc/stat")?;
    let seconds = text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    jiff::Timestamp::from_second(seconds).ok().map(Time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makers_forgot_to_fill_in_is_no_fact() {
        for junk in ["To Be Filled By O.E.M.", "Default string", "00000000", "FFFF-FFFF", "xxxxxxx", "0", "-", "N/A"] {
            assert!(is_junk(junk), "{junk}");
        }
        for good in ["PF2ABCDE", "Latitude 7420", "10", "VMware-56 4d"] {
            assert!(!is_junk(good), "{good}");
        }
    }
}
