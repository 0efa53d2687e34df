use std::sync::Mutex;

use model::time::Timestamp;

use super::*;
use crate::collect::hash_cache::HashCache;
use crate::packages::PackageIndex;

fn lines(host: &Path) -> Vec<String> {
    let root = HostRoot::new(host).unwrap();
    let mut packages = PackageIndex::default();
    packages.refresh(&root);
    let hashes = Mutex::new(HashCache::default());
    let context = Context::new(&root, &packages, &hashes, Timestamp(0));
    let word = |row: &Row, column: &str| match row.get(column) {
        None => "-".to_owned(),
        Some(it) => it.as_str().map_or_else(|| it.to_string(), str::to_owned),
    };
    let columns = ["name", "version", "address", "port", "authentication", "config", "data"];
    [Table::Database, Table::Middleware]
        .iter()
        .flat_map(|table| collect(&context, *table).rows)
        .map(|row| columns.map(|it| word(&row, it)).join(" | "))
        .collect()
}

fn fixture(host: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/hosts").join(host)
}

#[test]
fn configured_servers_of_fixture_hosts() {
    assert_eq!(
        lines(&fixture("debian12")),
        [
            r#"PostgreSQL | - | ["*"] | 5433 | absent | /etc/postgresql/15/main/postgresql.conf | /var/lib/postgresql/15/main"#,
            r#"Redis | 5:7.0.15-1~deb12u1 | ["127.0.0.1","-::1"] | 6380 | required | /etc/redis/redis.conf | /var/lib/redis"#,
            r#"MongoDB | - | ["127.0.0.1","10.0.0.5"] | 27017 | required | /etc/mongod.conf | /var/lib/mongodb"#,
            r#"memcached | - | ["127.0.0.1"] | 11211 | absent | /etc/memcached.conf | -"#,
        ]
    );
    assert_eq!(
        lines(&fixture("ubuntu2404")),
        [
            r#"MySQL or MariaDB | - | ["127.0.0.1"] | 3307 | required | /etc/mysql/my.cnf | /srv/mysql"#
        ]
    );
}

#[test]
fn settings_decide_about_authentication() {
    use Authentication::{Absent, Required};
    let of = |name: &str, config: &str, access: &str, arguments: &[&str]| {
        let product = PRODUCTS.iter().find(|it| it.name == name).unwrap();
        let mut all = (product.parse)(config.as_bytes());
        let words: Vec<_> = arguments.iter().map(|it| (*it).to_owned()).collect();
        all.extend(text::options(&words));
        let mut settings = Settings::default();
        (product.read)(&mut settings, &Given { settings: &all, access });
        settings.authentication
    };
    for (name, config, access, arguments, expected) in [
        ("Redis", "requirepass secret", "", &[][..], Some(Required)),
        ("Redis", "requirepass \"\"\nprotected-mode no", "", &[], Some(Absent)),
        ("Redis", "# requirepass x", "", &[], None),
        ("Redis", "user default on nopass ~* +@all", "", &[], Some(Absent)),
        ("Redis", "", "", &["redis-server", "--requirepass", "x"], Some(Required)),
        (
            "PostgreSQL",
            "",
            "local all all trust\nhost all all 127.0.0.1/32 trust\nhost all all 0.0.0.0/0 scram-sha-256",
            &[],
            Some(Required),
        ),
        ("PostgreSQL", "", "host all all 0.0.0.0/0 trust", &[], Some(Absent)),
        ("PostgreSQL", "", "host all all 10.0.0.0 255.0.0.0 trust # all", &[], Some(Absent)),
        ("PostgreSQL", "", "", &[], None),
        ("MongoDB", "security:\n  authorization: enabled # on", "", &[], Some(Required)),
        ("MongoDB", "net:\n  port: 1\n", "", &[], Some(Absent)),
        ("MongoDB", "", "", &["mongod", "--auth"], Some(Required)),
        ("MySQL or MariaDB", "[mysqld]\nskip-grant-tables\n", "", &[], Some(Absent)),
        ("MySQL or MariaDB", "[client]\nport=1\n", "", &[], Some(Required)),
        ("Elasticsearch", "xpack.security.enabled: false", "", &[], Some(Absent)),
        ("Elasticsearch", "xpack:\n  security:\n    enabled: true", "", &[], Some(Required)),
        ("Elasticsearch", "cluster.name: x", "", &[], None),
        ("memcached", "-l 0.0.0.0\n-S\n", "", &[], Some(Required)),
        ("memcached", "", "", &["memcached", "-p", "1"], Some(Absent)),
        ("etcd", "client-transport-security:\n  client-cert-auth: true", "", &[], Some(Required)),
        ("NATS", "port: 4222\nauthorization {\n token: x\n}", "", &[], Some(Required)),
        ("NATS", "port: 4222", "", &[], Some(Absent)),
        ("Kafka", "listeners=SASL_SSL://:9093", "", &[], Some(Required)),
        ("Kafka", "", "", &[], Some(Absent)),
        ("ZooKeeper", "clientPort=2181", "", &[], Some(Absent)),
        ("RabbitMQ", "", "", &[], Some(Required)),
    ] {
        assert_eq!(
            of(name, config, access, arguments),
            expected,
            "{name}: {config} {access} {arguments:?}"
        );
    }
}

#[test]
fn odd_files_are_survived() {
    for bytes in [
        &b""[..],
        b"\xff\xfe = \x00",
        b"[",
        b"[]",
        b":",
        b"- x",
        b"a:\n - b\n- c",
        b"=\n==",
        "é: ü".as_bytes(),
    ] {
        text::pairs(bytes);
        text::yaml(bytes);
    }
    assert!(
        text::yaml((0..100).map(|it| " ".repeat(it) + "a:\n").collect::<String>().as_bytes()).len()
            == 100
    );
}
