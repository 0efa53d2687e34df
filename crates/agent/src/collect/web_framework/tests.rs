use std::fs;
use std::sync::Mutex;

use model::time::Timestamp;

use super::*;
use crate::collect::hash_cache::HashCache;
use crate::host_root::HostRoot;
use crate::packages::PackageIndex;

fn collected(root: &Path) -> Collected {
    let root = HostRoot::new(root).unwrap();
    let mut packages = PackageIndex::default();
    packages.refresh(&root);
    let hashes = Mutex::new(HashCache::default());
    collect(&Context::new(&root, &packages, &hashes, Timestamp(0)))
}

fn lines(root: &Path) -> String {
    let word =
        |row: &Row, name: &str| row.get(name).and_then(|it| it.as_str()).unwrap_or("-").to_owned();
    let row =
        |it: &Row| ["name", "version", "language", "path"].map(|name| word(it, name)).join(" | ");
    let collected = collected(root);
    let skipped = collected.skipped.iter().map(|it| format!("skipped {it}"));
    collected.rows.iter().map(row).chain(skipped).collect::<Vec<_>>().join("\n") + "\n"
}

/// A host whose nginx serves two folders of applications.
fn host() -> tempfile::TempDir {
    let host = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = host.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "etc/nginx/nginx.conf",
        "http { server { listen 80; root /srv/shop/public; } server { listen 81; root /srv/blog; } }",
    );
    write("srv/shop/public/index.php", "");
    write(
        "srv/shop/vendor/composer/installed.json",
        r#"{"packages": [{"name": "laravel/framework", "version": "v11.9.2"}, {"name": "monolog/monolog", "version": "3.0"}]}"#,
    );
    write(
        "srv/blog/wp-includes/version.php",
        "<?php\n$wp_version = '6.4.3';\n$wp_db_version = 1;\n",
    );
    write(
        "usr/local/lib/node_modules/shop/node_modules/express/package.json",
        r#"{"name": "express", "version": "4.19.2"}"#,
    );
    host
}

#[test]
fn frameworks_are_found_where_they_are_served() {
    expect_test::expect![[r#"
        Laravel | 11.9.2 | php | /srv/shop/vendor/laravel/framework
        WordPress | 6.4.3 | php | /srv/blog
    "#]]
    .assert_eq(
        &lines(host().path())
            .lines()
            .filter(|it| !it.contains("npm"))
            .fold(String::new(), |all, it| all + it + "\n"),
    );
}

#[test]
fn libraries_are_told_by_their_name() {
    assert_eq!(parse::framework("python", "Django"), Some("Django"));
    assert_eq!(parse::framework("npm", "django"), None);
    assert_eq!(parse::framework("java", "org.apache.struts:struts2-core"), Some("Apache Struts"));
    assert_eq!(parse::framework("php", "monolog/monolog"), None);
}

#[test]
fn versions_in_php_files() {
    for (text, name, expected) in [
        ("$wp_version = '6.4.3';", "$wp_version", Some("6.4.3")),
        ("  const VERSION = \"10.2.0\";", "VERSION", Some("10.2.0")),
        ("define('DISCUZ_VERSION', 'X3.5');", "DISCUZ_VERSION", Some("X3.5")),
        ("define( 'MW_VERSION', '1.41.0' );", "MW_VERSION", Some("1.41.0")),
        ("// $wp_version says nothing", "$wp_version", None),
        ("$wp_version = '';", "$wp_version", None),
    ] {
        assert_eq!(parse::php_value(text.as_bytes(), name).as_deref(), expected, "{text}");
    }
}

#[test]
fn a_broken_record_is_named() {
    let host = host();
    let record = host.path().join("srv/shop/vendor/composer/installed.json");
    fs::write(&record, "{\"packages\": [").unwrap();
    let skipped = collected(host.path()).skipped;
    assert!(
        skipped.iter().any(|it| it.text.starts_with("/srv/shop/vendor/composer/installed.json: ")),
        "{skipped:?}"
    );
}
