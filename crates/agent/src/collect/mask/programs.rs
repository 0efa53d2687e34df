//! How well-known programs take a password on the command line.

/// Where the secret of an option stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Take {
    /// In the next argument, whatever it looks like.
    Next,
    /// In the next argument unless that is an option.
    NextUnlessOption,
    /// In the same argument: `-pSECRET`.
    Attached,
    /// Either way.
    Both,
    /// `user:password`, `user%password` or `user,password`, in either place.
    NextAfterColon,
}

impl Take {
    pub(super) fn attaches(self) -> bool {
        matches!(self, Self::Attached | Self::Both | Self::NextAfterColon)
    }
}

type Program = (&'static [&'static str], &'static [(&'static str, Take)]);

pub(super) static PROGRAMS: &[Program] = &[
    (
        &[
            "mysql",
            "mysqldump",
            "mysqladmin",
            "mysqlimport",
            "mysqlshow",
            "mysqlcheck",
            "mysqlbinlog",
            "mysqlpump",
            "mysqlslap",
            "mysqlsh",
            "mariadb",
            "mariadb-dump",
            "mariadb-admin",
            "mariadb-import",
            "mariadb-show",
            "mariadb-check",
            "mariadb-binlog",
            "mydumper",
            "myloader",
            "xtrabackup",
            "innobackupex",
        ],
        // A space after -p means: ask.
        &[("-p", Take::Attached)],
    ),
    (&["sshpass"], &[("-p", Take::Both)]),
    (&["redis-cli", "valkey-cli"], &[("-a", Take::Next)]),
    (
        &["curl", "curlftpfs"],
        &[
            ("-u", Take::NextAfterColon),
            ("--user", Take::NextAfterColon),
            ("-U", Take::NextAfterColon),
            ("--proxy-user", Take::NextAfterColon),
        ],
    ),
    (&["lftp"], &[("-u", Take::NextAfterColon)]),
    (&["smbclient", "rpcclient", "net", "smbmap"], &[("-U", Take::NextAfterColon)]),
    (&["mongo", "mongosh", "mongodump", "mongorestore", "mongoexport"], &[("-p", Take::Both)]),
    (
        &["ldapsearch", "ldapadd", "ldapmodify", "ldapdelete", "ldappasswd", "ldapwhoami"],
        &[("-w", Take::Both), ("-s", Take::Next)],
    ),
    (&["docker", "podman", "helm", "nerdctl", "oc", "skopeo"], &[("-p", Take::NextUnlessOption)]),
    (&["7z", "7za", "7zr", "rar", "unrar"], &[("-p", Take::Attached)]),
    (&["zip", "unzip"], &[("-P", Take::Both)]),
    (&["sqlcmd", "bcp", "isql", "tsql"], &[("-P", Take::Both)]),
    (
        &["snmpget", "snmpwalk", "snmpset"],
        &[("-c", Take::Next), ("-A", Take::Next), ("-X", Take::Next)],
    ),
    (&["ipmitool"], &[("-P", Take::Both)]),
    (&["xfreerdp", "xfreerdp3", "wlfreerdp"], &[("/p:", Take::Attached)]),
    (&["rdesktop"], &[("-p", Take::Both)]),
    (&["openssl"], &[("pass:", Take::Attached), ("-k", Take::Next)]),
    (&["keytool", "jarsigner"], &[("-storepass", Take::Next), ("-keypass", Take::Next)]),
    (&["svn", "hg"], &[("--password", Take::Next)]),
    (&["mosquitto_pub", "mosquitto_sub"], &[("-P", Take::Next)]),
    (&["cqlsh", "clickhouse-client"], &[("-p", Take::Next)]),
    (&["vault"], &[("token=", Take::Attached)]),
];
