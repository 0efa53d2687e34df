//! The servers that are known, and what their settings mean.

use engine::ports::Authentication::{Absent, Required};

use super::Settings;
use super::text::{self, Setting};

/// Which table it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Database,
    Middleware,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Product {
    pub(super) name: &'static str,
    pub(super) table: Table,
    /// Names of its programs, whole.
    pub(super) programs: &'static [&'static str],
    /// A word of its command line, for those that run in a common runtime.
    pub(super) marker: Option<&'static str>,
    /// Main configuration files, one instance each.
    pub(super) configs: &'static [&'static str],
    /// Files beside the main one that are read as well; `*` is allowed.
    pub(super) beside: &'static [&'static str],
    pub(super) parse: fn(&[u8]) -> Vec<Setting>,
    pub(super) port: u16,
    /// What settings mean: those of the files, then those of the command line.
    pub(super) read: fn(&mut Settings, &Given<'_>),
}

/// What is known of one instance.
#[derive(Debug, Default)]
pub(super) struct Given<'a> {
    pub(super) settings: &'a [Setting],
    /// Lines of an access file beside the configuration (`pg_hba.conf`).
    pub(super) access: &'a str,
}

impl<'a> Given<'a> {
    /// The value that counts: the last one.
    fn get(&self, keys: &[&str]) -> Option<&'a str> {
        let mut all = self.settings.iter().rev();
        all.find(|it| keys.contains(&it.key.as_str())).map(|it| it.value.as_str())
    }

    fn is(&self, keys: &[&str], value: &str) -> bool {
        self.get(keys).is_some_and(|it| it.eq_ignore_ascii_case(value))
    }

    fn has(&self, keys: &[&str]) -> bool {
        self.get(keys).is_some()
    }
}

impl Settings {
    fn place(&mut self, given: &Given<'_>, bind: &[&str], port: &[&str], data: &[&str]) {
        if let Some(list) = given.get(bind) {
            self.bind = list
                .trim_matches(['[', ']'])
                .split([',', ' '])
                .map(|it| it.trim_matches(['"', '\'', ' ']).to_owned())
                .filter(|it| !it.is_empty())
                .collect();
        }
        if let Some(port) = given.get(port).and_then(|it| it.parse().ok()) {
            self.port = Some(port);
        }
        if let Some(data) = given.get(data).filter(|it| !it.is_empty()) {
            self.data = Some(data.to_owned());
        }
    }
}

const PLAIN: Product = Product {
    name: "",
    table: Table::Middleware,
    programs: &[],
    marker: None,
    configs: &[],
    beside: &[],
    parse: text::pairs,
    port: 0,
    read: |_, _| {},
};

pub(super) static PRODUCTS: &[Product] = &[
    Product {
        name: "MySQL or MariaDB",
        table: Table::Database,
        programs: &["mysqld", "mariadbd"],
        configs: &["/etc/mysql/my.cnf", "/etc/my.cnf"],
        beside: &["conf.d/*.cnf", "mariadb.conf.d/*.cnf", "mysql.conf.d/*.cnf", "my.cnf.d/*.cnf"],
        port: 3306,
        read: mysql,
        ..PLAIN
    },
    Product {
        name: "PostgreSQL",
        table: Table::Database,
        programs: &["postgres", "postmaster"],
        configs: &[
            "/etc/postgresql/*/*/postgresql.conf",
            "/var/lib/pgsql/data/postgresql.conf",
            "/var/lib/pgsql/*/data/postgresql.conf",
            "/var/lib/postgresql/*/data/postgresql.conf",
        ],
        beside: &["conf.d/*.conf"],
        port: 5432,
        read: postgres,
        ..PLAIN
    },
    Product {
        name: "Redis",
        table: Table::Database,
        programs: &["redis-server", "valkey-server", "redis-check-rdb", "keydb-server"],
        configs: &[
            "/etc/redis/redis.conf",
            "/etc/redis.conf",
            "/etc/redis/*.conf",
            "/etc/valkey/*.conf",
        ],
        port: 6379,
        read: redis,
        ..PLAIN
    },
    Product {
        name: "MongoDB",
        table: Table::Database,
        programs: &["mongod", "mongos"],
        configs: &["/etc/mongod.conf", "/etc/mongodb.conf"],
        parse: text::yaml,
        port: 27017,
        read: mongo,
        ..PLAIN
    },
    Product {
        name: "Elasticsearch",
        table: Table::Database,
        marker: Some("org.elasticsearch"),
        configs: &["/etc/elasticsearch/elasticsearch.yml"],
        parse: text::yaml,
        port: 9200,
        read: elastic,
        ..PLAIN
    },
    Product {
        name: "OpenSearch",
        table: Table::Database,
        marker: Some("org.opensearch"),
        configs: &["/etc/opensearch/opensearch.yml"],
        parse: text::yaml,
        port: 9200,
        read: elastic,
        ..PLAIN
    },
    Product {
        name: "memcached",
        programs: &["memcached"],
        configs: &["/etc/memcached.conf"],
        port: 11211,
        read: memcached,
        ..PLAIN
    },
    Product {
        name: "etcd",
        programs: &["etcd"],
        configs: &["/etc/etcd/etcd.conf.yml", "/etc/etcd/etcd.yml"],
        parse: text::yaml,
        port: 2379,
        read: etcd,
        ..PLAIN
    },
    Product {
        name: "RabbitMQ",
        marker: Some("rabbit"),
        programs: &["rabbitmq-server"],
        configs: &["/etc/rabbitmq/rabbitmq.conf"],
        port: 5672,
        read: rabbit,
        ..PLAIN
    },
    Product {
        name: "NATS",
        programs: &["nats-server", "gnatsd"],
        configs: &["/etc/nats-server.conf", "/etc/nats/nats-server.conf", "/etc/nats.conf"],
        port: 4222,
        read: nats,
        ..PLAIN
    },
    Product {
        name: "ZooKeeper",
        marker: Some("org.apache.zookeeper.server"),
        configs: &[
            "/etc/zookeeper/conf/zoo.cfg",
            "/etc/zookeeper/zoo.cfg",
            "/opt/zookeeper*/conf/zoo.cfg",
        ],
        port: 2181,
        read: zookeeper,
        ..PLAIN
    },
    Product {
        name: "Kafka",
        marker: Some("kafka.Kafka"),
        configs: &["/etc/kafka/server.properties", "/opt/kafka*/config/server.properties"],
        port: 9092,
        read: kafka,
        ..PLAIN
    },
    Product {
        name: "InfluxDB",
        table: Table::Database,
        programs: &["influxd"],
        port: 8086,
        ..PLAIN
    },
    Product {
        name: "ClickHouse",
        table: Table::Database,
        programs: &["clickhouse-server", "clickhouse"],
        port: 8123,
        ..PLAIN
    },
    Product {
        name: "CouchDB",
        table: Table::Database,
        marker: Some("couchdb"),
        port: 5984,
        ..PLAIN
    },
    Product {
        name: "Cassandra",
        table: Table::Database,
        marker: Some("org.apache.cassandra"),
        port: 9042,
        ..PLAIN
    },
    Product { name: "Consul", programs: &["consul"], port: 8500, ..PLAIN },
    Product { name: "Vault", programs: &["vault"], port: 8200, ..PLAIN },
    Product { name: "Mosquitto", programs: &["mosquitto"], port: 1883, ..PLAIN },
    Product { name: "HAProxy", programs: &["haproxy"], ..PLAIN },
    Product { name: "Envoy", programs: &["envoy"], ..PLAIN },
    Product { name: "Traefik", programs: &["traefik"], ..PLAIN },
    Product { name: "MinIO", programs: &["minio"], port: 9000, ..PLAIN },
    Product { name: "Docker", programs: &["dockerd"], ..PLAIN },
    Product { name: "containerd", programs: &["containerd"], ..PLAIN },
];

fn mysql(it: &mut Settings, given: &Given<'_>) {
    const BIND: &[&str] =
        &["mysqld.bind_address", "mariadb.bind_address", "server.bind_address", "bind-address"];
    const PORT: &[&str] = &["mysqld.port", "mariadb.port", "server.port", "port"];
    const DATA: &[&str] = &["mysqld.datadir", "mariadb.datadir", "server.datadir", "datadir"];
    const SKIP: &[&str] = &[
        "mysqld.skip_grant_tables",
        "mariadb.skip_grant_tables",
        "server.skip_grant_tables",
        "skip-grant-tables",
    ];
    it.place(given, BIND, PORT, DATA);
    it.authentication = Some(if given.has(SKIP) { Absent } else { Required });
}

/// The first line of `pg_hba.conf` that fits decides; `trust` asks nothing.
fn postgres(it: &mut Settings, given: &Given<'_>) {
    it.place(given, &["listen_addresses"], &["port"], &["data_directory"]);
    if given.access.is_empty() {
        return;
    }
    let trusts = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let host = words.first().is_some_and(|it| it.starts_with("host"));
        let near = words.get(3).is_some_and(|it| {
            it.starts_with("127.")
                || it.starts_with("::1")
                || *it == "localhost"
                || *it == "samehost"
        });
        host && !near && words.iter().skip(4).take(2).any(|it| *it == "trust")
    };
    let open = given.access.lines().any(|line| trusts(line.split('#').next().unwrap_or_default()));
    it.authentication = Some(if open { Absent } else { Required });
}

fn redis(it: &mut Settings, given: &Given<'_>) {
    it.place(given, &["bind"], &["port"], &["dir"]);
    let default_user = given.get(&["user"]).filter(|it| it.starts_with("default "));
    let password = given.get(&["requirepass"]).is_some_and(|it| !it.is_empty());
    it.authentication = if default_user.is_some_and(|it| it.contains(" nopass")) {
        Some(Absent)
    } else if password || given.has(&["aclfile"]) || default_user.is_some() {
        Some(Required)
    } else if given.is(&["protected_mode", "protected-mode"], "no") {
        Some(Absent)
    } else {
        // Protected mode turns strangers away, but what it does depends on the version.
        None
    };
}

fn mongo(it: &mut Settings, given: &Given<'_>) {
    it.place(
        given,
        &["net.bindip", "bind_ip"],
        &["net.port", "port"],
        &["storage.dbpath", "dbpath"],
    );
    let on = given.is(&["security.authorization"], "enabled")
        || given.has(&["security.keyfile"])
        || given.is(&["auth"], "true")
        || given.settings.iter().any(|it| it.line == 0 && it.key == "auth");
    it.authentication = Some(if on { Required } else { Absent });
}

fn elastic(it: &mut Settings, given: &Given<'_>) {
    it.place(given, &["network.host", "http.host"], &["http.port"], &["path.data"]);
    let on = &["xpack.security.enabled"];
    it.authentication = if given.is(on, "true") || given.is(&["plugins.security.disabled"], "false")
    {
        Some(Required)
    } else if given.is(on, "false") || given.is(&["plugins.security.disabled"], "true") {
        Some(Absent)
    } else {
        // On since Elasticsearch 8, off before.
        None
    };
}

fn memcached(it: &mut Settings, given: &Given<'_>) {
    it.place(given, &["_l", "l", "listen"], &["_p", "p", "port"], &[]);
    let sasl = given.has(&["_s", "S", "enable-sasl", "_y", "Y"]);
    it.authentication = Some(if sasl { Required } else { Absent });
}

fn etcd(it: &mut Settings, given: &Given<'_>) {
    it.place(given, &["listen-client-urls"], &[], &["data-dir"]);
    let on = given.is(&["client-transport-security.client-cert-auth", "client-cert-auth"], "true")
        || given.is(&["client-cert-auth"], "");
    it.authentication = Some(if on { Required } else { Absent });
}

fn rabbit(it: &mut Settings, given: &Given<'_>) {
    it.place(given, &[], &["listeners.tcp.default"], &[]);
    let anonymous = given.get(&["anonymous_login_user"]).is_some_and(|it| it != "none");
    it.authentication = Some(if anonymous { Absent } else { Required });
}

fn nats(it: &mut Settings, given: &Given<'_>) {
    it.place(given, &["host", "net", "addr", "a"], &["port", "p"], &["store_dir"]);
    let on = given.has(&[
        "authorization",
        "accounts",
        "operator",
        "authorization{",
        "accounts{",
        "user",
        "auth",
        "tlsverify",
    ]);
    it.authentication = Some(if on { Required } else { Absent });
}

fn zookeeper(it: &mut Settings, given: &Given<'_>) {
    it.place(given, &["clientportaddress"], &["clientport"], &["datadir"]);
    let on =
        given.is(&["sessionrequireclientsaslauth"], "true") || given.has(&["enforce.auth.enabled"]);
    it.authentication = Some(if on { Required } else { Absent });
}

fn kafka(it: &mut Settings, given: &Given<'_>) {
    it.place(given, &[], &["port"], &["log.dirs", "log.dir"]);
    let listeners = given.get(&["listeners"]).unwrap_or("PLAINTEXT://:9092");
    it.bind = listeners.split(',').map(|it| it.trim().to_owned()).collect();
    it.authentication = Some(
        if listeners.to_uppercase().contains("PLAINTEXT://") && !listeners.contains("SASL_") {
            Absent
        } else {
            Required
        },
    );
}
