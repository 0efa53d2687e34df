use std::sync::Mutex;

use super::parse::*;
use super::*;
use crate::packages::PackageIndex;

#[test]
fn modules_and_their_files() {
    let (found, broken) = modules(include_bytes!("fixtures/modules"));
    assert_eq!(broken, 1);
    let lines: Vec<String> = found
        .iter()
        .map(|it| format!("{} {} {:?} {} {}", it.name, it.bytes, it.users, it.state, it.taints))
        .collect();
    let expected = [
        "nf_tables 303104 [\"nft_compat\", \"nft_chain_nat\"] Live ",
        "evil 16384 [] Live OE",
        "loading 4096 [] Loading F",
        "wg_test 90112 [] Live ",
    ];
    assert_eq!(lines, expected);
    let files = files(include_bytes!("fixtures/modules.dep"));
    assert_eq!(files.get("nf_tables").unwrap(), "kernel/net/netfilter/nf_tables.ko.xz");
    assert_eq!(files.get("wg_test").unwrap(), "kernel/drivers/net/wg-test.ko.zst");
    assert_eq!(files.get("libcrc32c"), None);
}

#[test]
fn a_kernel_without_modules_says_so() {
    let root = HostRoot::live().unwrap();
    let (packages, hashes) = (PackageIndex::default(), Mutex::default());
    let context = Context::new(&root, &packages, &hashes, model::time::Timestamp(0));
    let collected = super::super::run(&COLLECTOR, &context);
    let told = collected.skipped.iter().any(|it| it.text.contains("no /proc/modules"));
    assert_eq!(told, root.metadata("/proc/modules").is_err());
    assert!(collected.complete);
}

#[test]
fn an_offline_root_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let root = HostRoot::new(folder.path()).unwrap();
    let (packages, hashes) = (PackageIndex::default(), Mutex::default());
    let context = Context::new(&root, &packages, &hashes, model::time::Timestamp(0));
    assert!(!super::super::run(&COLLECTOR, &context).complete);
}
